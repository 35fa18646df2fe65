import { auditTables, planRuleset, renderSave, tracePacket } from '@pointsman/backend-iptables'
import {
  buildState,
  type IpFamily,
  type KubernetesObject,
  type ProxyConfig,
  readProxyConfig,
  route,
  type State,
} from '@pointsman/core'
import { parseSave } from 'node-iptables'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { differencesOf } from '../packages/backend-iptables/src/test-support/goldens.js'

/*
 * What the iptables proxier of Kubernetes 1.36.2 did in its own unit tests: rulesets, and where its tests' packets went.
 * fixtures/golden/upstream-proxier-tests/README.md says how it was recorded.
 */
const FOLDER = new URL('../fixtures/golden/upstream-proxier-tests/', import.meta.url)
const CASES = readdirSync(FOLDER, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))

type Step =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubernetesObject }
  | { readonly type: 'sync'; readonly n: number; readonly rules: string; readonly settled: boolean }
  | { readonly type: 'external' }

interface Flow {
  readonly sync: number
  readonly name: string
  readonly sourceIP: string
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly destIP: string
  readonly destPort: number
  /** Empty where nothing matched; ACCEPT, REJECT, DROP; or the endpoints that can be chosen. */
  readonly output: string
  readonly masquerade: boolean
  readonly localIPs: readonly string[]
}

interface Recorded {
  readonly family: IpFamily
  readonly config: ProxyConfig
  readonly interfaceAddresses: readonly string[]
  readonly syncs: readonly { readonly n: number; readonly rules: string; readonly state: State }[]
  readonly flows: readonly Flow[]
}

function recorded(name: string): Recorded {
  const text = (file: string): string => readFileSync(new URL(`${name}/${file}`, FOLDER), 'utf8')
  const { family, node, hostAddresses } = JSON.parse(text('case.json')) as {
    readonly family: IpFamily
    readonly node: KubernetesObject
    readonly hostAddresses: readonly string[]
  }
  const { config } = readProxyConfig(JSON.parse(text('config.json')))
  const objects = new Map<string, KubernetesObject>()
  const syncs: Recorded['syncs'][number][] = []
  for (const step of JSON.parse(text('steps.json')) as readonly Step[]) {
    if (step.type === 'external') continue
    if (step.type === 'sync') {
      const { state } = buildState({ objects: [node, ...objects.values()], nodeName: config.nodeName })
      if (step.settled) syncs.push({ n: step.n, rules: text(step.rules), state })
      continue
    }
    const { kind, metadata } = step.object
    const key = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
    if (step.type === 'DELETED') objects.delete(key)
    else objects.set(key, step.object)
  }
  const interfaceAddresses = hostAddresses.map((address) => address.replace(/\/\d+$/, ''))
  return { family, config, interfaceAddresses, syncs, flows: JSON.parse(text('flows.json')) as readonly Flow[] }
}

const all = new Map(CASES.map((name) => [name, recorded(name)]))

test('the recording is whole', () => {
  const rulesets = [...all.values()].reduce((sum, { syncs }) => sum + syncs.length, 0)
  const flows = [...all.values()].reduce((sum, each) => sum + each.flows.length, 0)
  expect({ cases: all.size, rulesets, flows }).toEqual({ cases: 48, rulesets: 93, flows: 239 })
})

describe('upstream’s tests', () => {
  test.each([...all])('have our rules: %s', async (_, { family, config, interfaceAddresses, syncs }) => {
    for (const { n, rules, state } of syncs) {
      const ruleset = planRuleset(state, config, { family, interfaceAddresses })
      const text = [...renderSave(ruleset)].map((line) => `${line}\n`).join('')
      expect({ n, differences: await differencesOf(rules, text) }).toEqual({ n, differences: [] })
      expect({ n, findings: auditTables(ruleset, parseSave(rules)) }).toEqual({ n, findings: [] })
    }
  })

  const sending = [...all].filter(([, { flows }]) => flows.length > 0)
  test.each(sending)('send packets where a trace and the meaning of Services do: %s', (_, { config, syncs, flows }) => {
    for (const flow of flows) {
      const sync = syncs.find(({ n }) => n === flow.sync)
      if (sync === undefined) throw new Error(`no settled sync ${flow.sync}`)
      const { name } = flow
      expect({ name, ...byRules(flow, sync.rules) }).toEqual({ name, ...recordedEnds(flow) })
      expect({ name, ...byMeaning(flow, sync.state, config) }).toEqual({ name, ...recordedEnds(flow) })
    }
  })
})

interface Ends {
  readonly ends: readonly string[]
  readonly masquerade: boolean
}

/** A packet that is accepted, or meets no rule, goes on to where it was sent. */
function recordedEnds({ output, masquerade }: Flow): Ends {
  const verdicts: Readonly<Record<string, string>> = {
    '': 'no-service',
    ACCEPT: 'no-service',
    REJECT: 'rejected',
    DROP: 'dropped',
  }
  const verdict = verdicts[output]
  return verdict === undefined
    ? { ends: output.split(', ').toSorted(), masquerade }
    : { ends: [verdict], masquerade: false }
}

function byRules({ sourceIP, protocol, destIP, destPort, localIPs }: Flow, rules: string): Ends {
  const isOwn = localIPs.includes(sourceIP)
  const trace = tracePacket({
    tables: parseSave(rules),
    packet: {
      protocol,
      source: sourceIP,
      destination: destIP,
      destinationPort: destPort,
      from: isOwn ? 'node' : 'outside',
    },
    surroundings: { nodeAddresses: localIPs },
  })
  return {
    ends: [
      ...trace.endpoints.map(({ address, port }) => endText(address, port)),
      ...trace.fates.flatMap(({ fate }) => (fate === 'endpoints' ? [] : [fate])),
    ].toSorted(),
    masquerade: trace.endpoints.some(({ source }) => source.rewritten !== 'no'),
  }
}

function byMeaning({ sourceIP, protocol, destIP, destPort, localIPs }: Flow, state: State, config: ProxyConfig): Ends {
  const node = state.node && { ...state.node, addresses: [...state.node.addresses, ...localIPs] }
  const { verdict, endpoints } = route({ ...state, ...(node && { node }) }, config, {
    from: sourceIP,
    to: destIP,
    port: destPort,
    protocol,
  })
  return {
    ends: verdict === 'endpoints' ? endpoints.map(({ address, port }) => endText(address, port)).toSorted() : [verdict],
    masquerade: endpoints.some(({ masqueraded }) => masqueraded),
  }
}

const endText = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
