import {
  type Blame,
  type BlamedRule,
  blameRules,
  DEFAULT_PROXY_CONFIG,
  type FormerChainOwner,
  isOddsAlone,
  type JsonObject,
  type KubernetesObject,
  type WatchEvent,
  whatChanged,
  whoseOdds,
} from '@pointsman/core'
import { createEventMaker, service, slice, createMemoryChangeLog } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import { iptablesDataplane } from './dataplane.js'
import type { OwnedRule } from './render/owned-rules.js'
import { endpointChainName, serviceChainNames } from './ruleset/layout.js'

const { added, modified, deleted } = createEventMaker()
const web = (spec: JsonObject = {}): KubernetesObject =>
  service({ name: 'web', createdAt: '2020-01-01T00:00:00Z', spec })
const webSlice = (endpoints: readonly string[]): KubernetesObject => slice({ name: 'web-1', service: 'web', endpoints })
const notReady = { ready: false, serving: false, terminating: false }
const A = '10.244.1.1'
const B = '10.244.1.2'
const C = '10.244.1.3'

/** The blame of everything after the events, as `SEQ CHAIN -> TARGET: what`, chains by the endpoint that they lead to. */
async function blamed(events: readonly WatchEvent[]): Promise<readonly string[]> {
  return (await blameOf(events)).rules.filter(({ item }) => item.owner !== undefined).map(told)
}

async function blameOf(events: readonly WatchEvent[]): Promise<Blame<OwnedRule>> {
  const log = createMemoryChangeLog()
  await log.append(events.map((event) => ({ type: 'event', event })))
  return finished(
    blameRules({
      planner: iptablesDataplane,
      reader: log,
      toSeq: log.head,
      config: DEFAULT_PROXY_CONFIG,
      options: { family: 'IPv4' },
    }),
  )
}

function finished<Result>(steps: Generator<unknown, Result, undefined>): Result {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
  }
}

const PORT = { service: 'shop/web', portName: 'http', protocol: 'TCP' } as unknown as FormerChainOwner
const NAMES = new Map([
  [serviceChainNames(PORT).cluster, 'SVC'],
  ...[A, B, C].map((address) => [endpointChainName(PORT, { address, port: 8080 }), address] as const),
])

function told(blamed: BlamedRule<OwnedRule>): string {
  const { changed, made, item } = blamed
  const { chain, rule: data } = item
  const seqOf = ({ cause }: BlamedRule['made']): string => (cause.type === 'start' ? '-' : String(cause.record.seq))
  const target = data.target?.type === 'jump' ? data.target.chain : (data.target?.type ?? '')
  const where = `${NAMES.get(chain) ?? chain} -> ${NAMES.get(target) ?? target}`
  if (isOddsAlone(blamed)) return `${seqOf(changed)} ${where}: odds: ${whoseOdds(changed)}, there since ${seqOf(made)}`
  return `${seqOf(changed)} ${where}: ${whatChanged(changed, blamed, iptablesDataplane)}`
}

describe('a rule is blamed on', () => {
  it('the first endpoint, where it leads to the service', async () => {
    expect(await blamed([added(web()), added(webSlice([])), modified(webSlice([A]))])).toEqual([
      '3 10.244.1.1 -> KUBE-MARK-MASQ: endpoint 10.244.1.1:8080 came',
      '3 10.244.1.1 -> DNAT: endpoint 10.244.1.1:8080 came',
      '3 KUBE-SERVICES -> SVC: 0 -> 1 endpoints in use',
      '3 SVC -> 10.244.1.1: endpoint 10.244.1.1:8080 came',
    ])
  })

  it('a neighbour, where nothing but its odds changed', async () => {
    const rules = await blamed([added(web()), added(webSlice([A, B])), modified(webSlice([A, B, C]))])
    expect(rules.filter((rule) => rule.includes(' SVC -> '))).toEqual([
      '3 SVC -> 10.244.1.1: odds: neighbour 10.244.1.3:8080 came, there since 2',
      '3 SVC -> 10.244.1.2: odds: neighbour 10.244.1.3:8080 came, there since 2',
      '3 SVC -> 10.244.1.3: endpoint 10.244.1.3:8080 came',
    ])
  })

  it('the neighbours that left and came at once', async () => {
    const rules = await blamed([added(web()), added(webSlice([A, B, C])), modified(webSlice([A, B]))])
    expect(rules.filter((rule) => rule.includes(' SVC -> '))).toEqual([
      '3 SVC -> 10.244.1.1: odds: neighbour 10.244.1.3:8080 left, there since 2',
      '3 SVC -> 10.244.1.2: odds: neighbour 10.244.1.3:8080 left, there since 2',
    ])
  })

  it('its own endpoint that is ready again, and not on what went on before', async () => {
    const ill = slice({ name: 'web-1', service: 'web', endpoints: [A, { addresses: [B], conditions: notReady }] })
    const rules = await blamed([added(web()), added(webSlice([A, B])), modified(ill), modified(webSlice([A, B]))])
    expect(rules.filter((rule) => rule.includes('10.244.1.2'))).toEqual([
      '4 10.244.1.2 -> KUBE-MARK-MASQ: endpoint 10.244.1.2:8080: not ready -> ready',
      '4 10.244.1.2 -> DNAT: endpoint 10.244.1.2:8080: not ready -> ready',
      '4 SVC -> 10.244.1.1: odds: neighbour 10.244.1.2:8080 came, there since 2',
      '4 SVC -> 10.244.1.2: endpoint 10.244.1.2:8080: not ready -> ready',
    ])
  })

  it('the loss of the last endpoint, where it refuses', async () => {
    expect(await blamed([added(web()), added(webSlice([A])), modified(webSlice([]))])).toEqual([
      '3 KUBE-SERVICES -> REJECT: 1 -> 0 endpoints in use',
    ])
  })

  it('the edit of the Service that it follows from', async () => {
    const rules = await blamed([added(web()), added(webSlice([A])), modified(web({ clusterIP: '10.96.0.9' }))])
    expect(rules.filter((rule) => rule.includes('KUBE-SERVICES'))).toEqual([
      '3 KUBE-SERVICES -> SVC: Service: spec.clusterIP 10.96.0.1 -> 10.96.0.9 and 1 more',
    ])
  })

  it('nothing that changed no rule', async () => {
    const before = await blamed([added(web()), added(webSlice([A]))])
    const after = [added(web()), added(webSlice([A])), modified(web({ selector: { app: 'other' } }))]
    expect(await blamed(after)).toEqual(before)
    expect(before.every((rule) => rule.startsWith('2 '))).toBe(true)
  })

  it('nobody, where it is there whatever services there are and the log has no configuration', async () => {
    const { rules } = await blameOf([added(web())])
    const base = rules.filter(({ item }) => item.owner === undefined)
    expect(new Set(base.map((rule) => told(rule).split(' ')[0]))).toEqual(new Set(['-']))
  })
})

describe('rules that went', () => {
  it('are told with what took them', async () => {
    const { lastGone } = await blameOf([added(web()), added(webSlice([A])), deleted(web())])
    expect(lastGone.map(({ removed }) => (removed.cause.type === 'start' ? 0 : removed.cause.record.seq))).toEqual([
      3, 3, 3, 3,
    ])
  })

  it('have the edit of their Service behind them', async () => {
    const { lastGone, editBehind } = await blameOf([
      added(web()),
      added(webSlice([A])),
      modified(web({ selector: { app: 'other' } })),
      modified(webSlice([])),
    ])
    const [gone] = lastGone
    expect(gone && editBehind(gone.removed.cause)?.changes).toEqual(['selector app=web -> app=other'])
  })
})

it('an edit that its slice has followed is not behind what the slice does next', async () => {
  const { lastGone, editBehind } = await blameOf([
    added(web()),
    added(webSlice([A])),
    modified(web({ selector: { app: 'other' } })),
    modified(webSlice([A, B])),
    modified(webSlice([])),
  ])
  const [gone] = lastGone
  expect(gone?.removed.cause).toMatchObject({ record: { seq: 5 } })
  expect(gone && editBehind(gone.removed.cause)).toBeUndefined()
})

describe('a chain that was pasted is found in all of the log', () => {
  const events = [
    added(web()),
    added(webSlice([A, B])),
    modified(webSlice([A])),
    modified(webSlice([A, C])),
    deleted(webSlice([A, C])),
    deleted(web()),
  ]
  const find = async (chain: string): Promise<FormerChainOwner | undefined> => {
    const log = createMemoryChangeLog()
    await log.append(events.map((event) => ({ type: 'event', event })))
    return finished(iptablesDataplane.formerOwnerOfChain(chain, { reader: log, toSeq: log.head }))
  }

  it.each([
    [endpointChainName(PORT, { address: B, port: 8080 }), `${B}:8080`],
    // It came into a slice that had others before.
    [endpointChainName(PORT, { address: C, port: 8080 }), `${C}:8080`],
    [serviceChainNames(PORT).local, undefined],
    [serviceChainNames(PORT).firewall, undefined],
  ])('%s', async (chain, endpoint) => {
    expect(await find(chain)).toMatchObject({ service: 'shop/web', portName: 'http', ...(endpoint && { endpoint }) })
  })

  it('unless it never was', async () => {
    expect(await find('KUBE-SEP-AAAAAAAAAAAAAAAA')).toBeUndefined()
    expect(await find('KUBE-SVC-AAAAAAAAAAAAAAAA')).toBeUndefined()
  })
})
