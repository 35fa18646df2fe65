import { endpointChainName, iptablesDataplane } from '@pointsman/backend-iptables'
import {
  type Blame,
  type BlamedRule,
  blameRules,
  type ChangeLogReader,
  DEFAULT_PROXY_CONFIG,
  displayName,
  serviceName,
  type ServiceName,
} from '@pointsman/core'
import { openChangeLogWriter } from '@pointsman/core/io'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { churn } from '../packages/core/src/testing/churn.js'
import { temporaryFolder } from './support/shop.js'

const SERVICES = 20
const folder = temporaryFolder()
const whole = openChangeLogWriter(folder.path('whole.db'), { durability: 'normal', snapshotEvery: 100 })
const pruned = openChangeLogWriter(folder.path('pruned.db'), { durability: 'normal', snapshotEvery: 100 })
const events = [...churn({ services: SERVICES, events: 2000 })]

beforeAll(async () => {
  for (const log of [whole, pruned]) await log.append(events.map((event) => ({ type: 'event', event })))
  const now = pruned.lastObservedAt
  pruned.prune({ maxAgeMs: (now - (whole.timeOf(whole.head) ?? 0)) / 2 + 60_000, now })
})
afterAll(() => {
  for (const log of [whole, pruned]) log.close()
  folder.remove()
})

const nameOf = (index: number): ServiceName => serviceName(`team-${index % 50}`, `service-${index}`)
const seqOf = ({ cause }: BlamedRule['made']): number => (cause.type === 'start' ? 0 : cause.record.seq)
const told = ({ rules }: Blame, from = 0): readonly object[] =>
  rules
    .filter(({ item }) => item.owner !== undefined)
    .map(({ item, made, changed }) => ({
      rule: `${item.chain} ${item.text}`,
      made: seqOf(made) < from ? 0 : seqOf(made),
      changed: seqOf(changed) < from ? 0 : seqOf(changed),
    }))

function blame(reader: ChangeLogReader, service?: ServiceName): Blame {
  const asked = { reader, toSeq: reader.info().lastSeq, nodeName: 'node-0', service, config: DEFAULT_PROXY_CONFIG }
  return finished(blameRules({ planner: iptablesDataplane, ...asked, options: { family: 'IPv4' } }))
}

function finished<Result>(steps: Generator<unknown, Result, undefined>): Result {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
  }
}

describe('in a log on disk', () => {
  test('the records of one Service, found by index, say of its rules what all records say', () => {
    const all = blame(whole)
    for (const index of [0, 1, 7, SERVICES - 1]) {
      const owned = all.rules.filter(({ item }) => item.owner?.startsWith(`${nameOf(index)}:`) === true)
      expect(told(blame(whole, nameOf(index)))).toEqual(told({ ...all, rules: owned }))
    }
  })

  test('whose beginning was pruned, what was there before has no record, and the rest is as it was', () => {
    const { firstSeq } = pruned.info()
    expect(firstSeq).toBeGreaterThan(1000)
    for (let index = 0; index < SERVICES; index++) {
      expect(told(blame(pruned, nameOf(index)))).toEqual(told(blame(whole, nameOf(index)), firstSeq))
    }
  })

  test('every chain that an endpoint ever had is found, gone or not', () => {
    for (const { id, address, chain } of everyEndpoint().filter((_, index) => index % 40 === 0)) {
      const found = finished(iptablesDataplane.formerOwnerOfChain(chain, { reader: whole, toSeq: whole.head }))
      expect({ name: found && displayName(found), endpoint: found?.endpoint }).toEqual({
        name: id,
        endpoint: `${address}:8080`,
      })
    }
  })

  test('what a pruned log has left of them is found by the objects that were there', () => {
    const [first] = everyEndpoint()
    const living = blame(pruned, nameOf(SERVICES - 1)).rules.find(({ item }) => item.chain.startsWith('KUBE-SEP-'))
    expect(
      finished(iptablesDataplane.formerOwnerOfChain(living?.item.chain ?? '', { reader: pruned, toSeq: pruned.head })),
    ).toBeDefined()
    expect(
      finished(iptablesDataplane.formerOwnerOfChain(first?.chain ?? '', { reader: pruned, toSeq: pruned.head })),
    ).toBeUndefined()
  })
})

interface EverEndpoint {
  readonly id: string
  readonly address: string
  readonly chain: string
}

function everyEndpoint(): readonly EverEndpoint[] {
  const seen = new Map<string, EverEndpoint>()
  for (const event of events) {
    if (event.type === 'BOOKMARK' || event.object.kind !== 'EndpointSlice') continue
    const { namespace = '', labels } = event.object.metadata
    const name = (labels as { readonly [label: string]: string })['kubernetes.io/service-name'] ?? ''
    const port = { service: serviceName(namespace, name), portName: 'http', protocol: 'TCP' } as const
    const endpoints = event.object['endpoints'] as readonly { readonly addresses: readonly string[] }[]
    for (const { addresses } of endpoints) {
      const [address = ''] = addresses
      const chain = endpointChainName(port, { address, port: 8080 })
      seen.set(chain, { id: displayName(port), address, chain })
    }
  }
  return [...seen.values()]
}
