import { createHash } from 'node:crypto'
import type { IpFamily } from '../model/address.js'
import { endpointKey, type Endpoint } from '../model/endpoint.js'
import { parseServicePortName, serviceName, type ServicePortName } from '../model/names.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { ServicePort } from '../model/service-port.js'
import { servicePortsOf } from '../model/service-ports.js'
import type { BackendContents, SyncRequest, SyncResult } from '../ports/backend.js'
import type { ChainOwner, Dataplane, FrontPath, PlannedItems, RuleItem, RulePlan } from '../ports/dataplane.js'
import type { ChangingProcess, DataplaneBackend, FamilyDrift, RuleTool } from '../ports/machine.js'
import { frontTrafficOf, portTraffic } from '../state/port-traffic.js'
import { frontKey, type Front, type State } from '../state/state.js'
import { auditToy, itemsOf, parseItem, TOY_FINDINGS, ToyItem, ToyRules, traceToy } from './toy-rules.js'

/**
 * The kernel of a toy: lines by family and owner, where no owner is `''`. Tests change it as somebody else would, and then call
 * `changedBy`.
 */
export interface ToyKernel {
  readonly lines: Map<IpFamily, Map<ServicePortName | '', readonly string[]>>
  /** Owners whose lines this kernel refuses. */
  readonly refused: Set<ServicePortName>
  /** The next write fails before anything is written; or after half of the owners. */
  fault: 'none' | 'at once' | 'half-way'
  changedBy(process: ChangingProcess | undefined): void
}

/** A rule system in memory, of the mode `toy`, and its kernel. It knows every service port by its fronts and endpoints alone. */
export interface ToyDataplane extends Dataplane<ToyItem> {
  readonly kernel: ToyKernel
}

export function createToyDataplane(): ToyDataplane {
  const kernel = createToyKernel()
  return {
    kernel,
    mode: 'toy',
    layouts: ['current'],
    listingFile: (family) => `toy-${family}.txt`,
    loadedBy: 'the toy',
    isItemLine: (line) => line.startsWith('add '),
    plan: ({ state }, { family }) => planToy(state, family),
    endpointOf: (item, { endpoints }) => endpoints.find((endpoint) => endpointKey(endpoint) === item.text),
    isServiceChain: (chain) => chain.startsWith('to-'),
    ownerOfChain: (chain, { services }) => ownerIn(chain, services.values()),
    *formerOwnerOfChain(chain, { reader, toSeq }) {
      for (const record of reader.records({ types: ['object'], kinds: ['Service'], toSeq })) {
        if (record.type !== 'object' || record.object.kind !== 'Service') continue
        const owner = ownerIn(chain, servicePortsOf(record.object).ports)
        if (owner !== undefined) return owner.port
        yield record.seq
      }
      return undefined
    },
    chainMeanings: ({ port }) => new Map([[chainOf(port), 'spreads over its endpoints']]),
    spreadOf: (chain, { port, endpoints, node }) =>
      chain === chainOf(port) ? portTraffic({ port, endpoints, node }).selection.cluster.length : 0,
    parseItem,
    targetOf: ({ text }) => / goto (\S+)$/.exec(text)?.[1],
    serviceNamedBy: ({ owner = '' }) => {
      const [, namespace, name] = /^([^/]+)\/([^/:]+)/.exec(owner) ?? []
      return namespace === undefined || name === undefined ? undefined : serviceName(namespace, name)
    },
    inReadingOrder: (items) => items.toSorted((a, b) => compare(a.item.owner ?? '', b.item.owner ?? '')),

    open({ config, families, onFamilySync }, { signal: _ }) {
      const backend = createToyBackend({ config, families, kernel, onFamilySync })
      return Promise.resolve({
        backend,
        families,
        tool: TOOL,
        description: `${TOOL.name} (there is no other)`,
        skipped: [],
        lastSent: { succeeded: () => [], failed: () => [] },
        hearsEveryChange: true,
        watchChanges: ({ signal, onChange, onListening }) =>
          new Promise((resolve) => {
            kernel.changedBy = onChange
            onListening({ type: 'listening' })
            if (signal.aborted) resolve()
            else signal.addEventListener('abort', () => resolve(), { once: true })
          }),
      })
    },
    prepare: () => Promise.resolve([]),
    cleanup({ dryRun }) {
      const cleaned = [...kernel.lines].map(([family, owners]) => {
        const lines = [...owners.values()].flat()
        const chains = new Set(lines.map((line) => line.split(' ')[1] ?? ''))
        if (!dryRun) kernel.lines.delete(family)
        return {
          family,
          tool: TOOL,
          lines: lines.map((line) => line.replace(/^add/, 'delete')),
          removedRules: lines.length,
          removedChains: [...chains].map((chain) => ({ table: 'toy', chain })),
          left: [],
        }
      })
      return Promise.resolve(cleaned)
    },
    readListing: (text, { name, refuse }) => {
      const items = text.split('\n').flatMap((line) => (line === '' ? [] : [line]))
      const wrong = items.find((line) => !line.startsWith('add '))
      if (wrong !== undefined) return Promise.reject(refuse(`${name}: ${JSON.stringify(wrong)} is no line of the toy`))
      return Promise.resolve(new ToyRules(items.map(parseItem)))
    },
    openRules: ({ families }) =>
      Promise.resolve({
        tool: TOOL,
        capabilities: {},
        read: () =>
          Promise.resolve(families.map((family) => ({ family, rules: new ToyRules(itemsIn(kernel, family)) }))),
      }),
    loaded: (plan) => new ToyRules([...plan.inOrder(plan.parts())]),
    trace: (rules, question) => traceToy(itemsOf(rules), question),
    affinityLists: () => [],
    findings: TOY_FINDINGS,
    audit(rules, { state }, { family }) {
      const plan = planToy(state, family)
      return auditToy(itemsOf(rules), [...plan.inOrder(plan.parts())], family)
    },
    toDo: () => 'load the toy again',
    metrics: { syncs: [], packets: [], readPackets: () => Promise.resolve({}) },
    failureLines: () => [],
  }
}

const itemsIn = ({ lines }: ToyKernel, family: IpFamily): readonly RuleItem[] =>
  [...(lines.get(family) ?? [])].flatMap(([owner, each]) =>
    each.map((line) => new ToyItem({ ...parseItem(line), owner: owner === '' ? undefined : owner })),
  )

const TOOL: RuleTool = { name: 'toy 1.0', fields: { toy: '1.0' } }

export const createToyKernel = (): ToyKernel => ({
  lines: new Map(),
  refused: new Set(),
  fault: 'none',
  changedBy: () => undefined,
})

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const chainOf = ({ id }: Pick<ServicePort, 'id'>): string => `to-${id.replaceAll(/[^\w.-]/g, '-')}`

function ownerIn(chain: string, ports: Iterable<ServicePort>): ChainOwner | undefined {
  for (const port of ports) if (chainOf(port) === chain) return { port }
  return undefined
}

const BASE: PlannedItems<ToyItem> = {
  port: undefined,
  items: [new ToyItem({ chain: 'fronts', text: 'otherwise pass', owner: undefined, share: undefined })],
}

function planToy({ node, services, endpoints: all }: RulesState, family: IpFamily): RulePlan<ToyItem> {
  const fronts = (port: ServicePort, endpoints: readonly Endpoint[]): readonly FrontPath[] =>
    frontTrafficOf(portTraffic({ port, endpoints, node }), { tellsPods: false }).map((traffic) =>
      traffic.endpoints.length === 0 ? traffic : { ...traffic, chain: chainOf(port) },
    )
  const ofService = (port: ServicePort, endpoints: readonly Endpoint[]): PlannedItems<ToyItem> => {
    const chain = chainOf(port)
    const owner = port.id
    const { cluster } = portTraffic({ port, endpoints, node }).selection
    return {
      port,
      items: [
        ...fronts(port, endpoints).map(({ front, chain: target }) => {
          const verdict = target === undefined ? 'refuse' : `goto ${target}`
          return new ToyItem({ chain: 'fronts', text: `${frontText(front)} ${verdict}`, owner, share: undefined })
        }),
        ...cluster
          .map(endpointKey)
          .toSorted()
          .map((text) => new ToyItem({ chain, text, owner, share: 1 / cluster.length })),
      ],
    }
  }
  const inOrder = (parts: Iterable<PlannedItems<ToyItem>>): readonly ToyItem[] =>
    [...parts].toSorted((a, b) => compare(a.port?.id ?? '~', b.port?.id ?? '~')).flatMap(({ items }) => items)
  return {
    family,
    context: { node },
    base: BASE,
    places: [{ table: 'toy', chain: 'fronts' }],
    ofService,
    *parts() {
      yield BASE
      for (const port of services.values()) if (port.family === family) yield ofService(port, all.get(port.id) ?? [])
    },
    inOrder,
    listing: (parts) => inOrder(parts).map(({ line }) => line),
    fronts,
  }
}

type RulesState = Pick<State, 'node' | 'services' | 'endpoints'>

const frontText = (front: Front): string => `${front.type} ${frontKey(front)}`

export interface ToyBackendOptions {
  readonly config: ProxyConfig
  readonly families: readonly IpFamily[]
  readonly kernel: ToyKernel
  readonly onFamilySync?: Parameters<Dataplane['open']>[0]['onFamilySync']
}

/** Writes a toy's lines into its kernel, owner by owner. */
export function createToyBackend({ families, kernel, onFamilySync }: ToyBackendOptions): DataplaneBackend {
  /** Service ports that keep what they had. */
  const refused = new Set<ServicePortName>()
  /** What the last sync left, by family. */
  const left = new Map<IpFamily, ReadonlyMap<ServicePortName | '', readonly string[]>>()

  const inForce = (family: IpFamily): Map<ServicePortName | '', readonly string[]> => {
    const owners = kernel.lines.get(family) ?? new Map<ServicePortName | '', readonly string[]>()
    kernel.lines.set(family, owners)
    return owners
  }

  const read = (): BackendContents => {
    const lines = families.flatMap((family) =>
      [...(kernel.lines.get(family) ?? [])].flatMap(([, each]) => each.map((line) => `${family} ${line}`)),
    )
    return { rules: lines.length, digest: createHash('sha256').update(lines.toSorted().join('\n')).digest('hex') }
  }

  function write(family: IpFamily, wanted: ReadonlyMap<ServicePortName | '', readonly string[]>): number {
    const owners = inForce(family)
    const changes = [...wanted].filter(([owner, lines]) => lines.join('\n') !== (owners.get(owner) ?? []).join('\n'))
    const { fault } = kernel
    kernel.fault = 'none'
    if (fault === 'at once') throw new ToyError('the toy was told to fail: nothing was written')
    const now = fault === 'half-way' ? changes.slice(0, Math.ceil(changes.length / 2)) : changes
    for (const [owner, lines] of now) {
      if (lines.length === 0) owners.delete(owner)
      else owners.set(owner, lines)
    }
    if (fault === 'half-way') throw new ToyError('the toy was told to fail half-way')
    left.set(family, new Map(owners))
    return changes.flatMap(([, lines]) => lines).reduce((sum, line) => sum + line.length + 1, changes.length)
  }

  function syncFamily(family: IpFamily, { state, changed }: SyncRequest): { full: boolean; bytes: number } {
    const full = changed === 'all' || !left.has(family)
    const plan = planToy(state, family)
    const names = full ? [...inForce(family).keys(), ...state.services.keys()] : [...changed]
    const wanted = new Map<ServicePortName | '', readonly string[]>([['', BASE.items.map(({ line }) => line)]])
    for (const name of names) {
      const port = name === '' ? undefined : state.services.get(name)
      if (name === '' || (port !== undefined && port.family !== family)) continue
      const isRefused = port !== undefined && kernel.refused.has(name)
      if (isRefused) refused.add(name)
      else refused.delete(name)
      if (isRefused) continue
      const items = port === undefined ? [] : plan.ofService(port, state.endpoints.get(port.id) ?? []).items
      wanted.set(
        name,
        items.map(({ line }) => line),
      )
    }
    const bytes = write(family, wanted)
    const restores = bytes === 0 ? 0 : 1
    const refusedCount = [...refused].filter((owner) => parseServicePortName(owner).family === family).length
    onFamilySync?.({
      family,
      full,
      durationMs: 0,
      restores,
      bytes,
      failures: 0,
      tables: {},
      ...(refusedCount > 0 && { refused: refusedCount }),
    })
    return { full, bytes }
  }

  return {
    name: 'toy',
    async sync(request, signal): Promise<SyncResult> {
      signal.throwIfAborted()
      const done = families.map((family) => syncFamily(family, request))
      const bytes = done.reduce((sum, each) => sum + each.bytes, 0)
      return {
        full: done.some(({ full }) => full),
        bytes,
        ...read(),
        refused: [...refused].map((owner) => ({ owner, error: new ToyError(`the toy refuses the lines of ${owner}`) })),
      }
    },
    read: () => Promise.resolve(read()),
    dryRun: (state) =>
      Promise.resolve(
        families.map((family) => {
          const plan = planToy(state, family)
          const there = new Set([...(kernel.lines.get(family) ?? [])].flatMap(([, lines]) => lines))
          const lines = [...plan.listing(plan.parts())].filter((line) => !there.has(line))
          return { family, command: 'toy --load', lines }
        }),
      ),
    async repairDrift(): Promise<readonly FamilyDrift[] | undefined> {
      if (left.size < families.length) return undefined
      return families.flatMap((family) => {
        const chains = new Set<string>()
        const wanted = left.get(family) ?? new Map<ServicePortName | '', readonly string[]>()
        for (const owner of new Set([...wanted.keys(), ...inForce(family).keys()])) {
          const [is, was] = [inForce(family).get(owner) ?? [], wanted.get(owner) ?? []]
          for (const line of [...is, ...was])
            if (!is.includes(line) || !was.includes(line)) chains.add(`toy ${line.split(' ')[1] ?? ''}`)
        }
        if (chains.size === 0) return []
        kernel.lines.set(family, new Map(wanted))
        return [{ family, chains: [...chains].toSorted(), bytes: chains.size }]
      })
    },
    cleanup() {
      refused.clear()
      for (const family of families) {
        kernel.lines.delete(family)
        left.delete(family)
      }
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}

class ToyError extends Error {
  override readonly name = 'ToyError'
  readonly code = 'TOY_FAILED'
}
