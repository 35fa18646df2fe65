import type { State } from '@pointsman/core'
import { stateOf, type PortDescription } from '@pointsman/core/testing'
import { addressOf, type Name } from './names.js'
import type { HostName } from './topology.js'

/** A service among thousands that is dialed all the time. */
export interface DialedService {
  /** What happens to it again and again. */
  readonly what: string
  readonly host: HostName
  readonly from: string
  readonly to: string
  /** What an answer may come from, by its rules before and after the change; `refused` where it may be. */
  readonly allowed: readonly string[]
}

/** The services, the changed ones as they are before (`false`) and after. */
export const thousandsOf = (total: number, { isChanged }: { readonly isChanged: boolean }): State =>
  stateOf({
    ports: Array.from({ length: total }, (_, index) => ({
      is: `shop/web-${index}:http`,
      clusterIP: clusterIP(index),
      ...portFields(index, { total, isChanged }),
    })),
    node: { addresses: [addressOf('node', 'IPv4')] },
  })

/** 1 % of the services, which change, and as many that stay as they are; they stand among all the others. */
export const dialedOf = (total: number): readonly DialedService[] =>
  Array.from({ length: total / 50 }, (_, at) => {
    const index = at * 50
    const change = changeOf(index)
    return {
      what: change.what,
      // A pod of another node: for a sender that is refused, TCP may begin again without having lost anything.
      ...(change.mayBeRefused ? FAR : CLIENT),
      to: change.isByVip ? vip(index) : clusterIP(index),
      allowed: [
        ...new Set([
          ...reachable(change.before),
          ...reachable(change.after),
          ...(change.mayBeRefused ? ['refused'] : []),
        ]),
      ],
    }
  })

const CLIENT = { host: 'client', from: addressOf('client', 'IPv4') } as const
const FAR = { host: 'far', from: addressOf('far-c', 'IPv4') } as const

interface ServiceChange {
  readonly what: string
  readonly before: ChangedFields
  readonly after: ChangedFields
  readonly isByVip?: boolean
  readonly mayBeRefused?: boolean
}

interface ChangedFields extends Omit<PortDescription, 'is' | 'clusterIP' | 'endpoints'> {
  readonly pods: readonly `${Name}:${8080 | 9090}`[]
  /** Those that the dialing one may reach; default: all. */
  readonly reachable?: ChangedFields['pods']
}

const STAYING: readonly ServiceChange[] = [
  { what: 'stays', pods: ['near-a:8080'] },
  { what: 'stays, and has many', pods: ['near-a:9090', 'near-b:9090', 'far-c:9090', 'far-d:9090'] },
].map(({ what, pods }) => ({ what, before: { pods }, after: { pods } })) as readonly ServiceChange[]

const CHANGES: readonly ServiceChange[] = [
  {
    what: 'exchanges its endpoints',
    before: { pods: ['near-a:8080', 'near-b:8080'] },
    after: { pods: ['far-c:8080', 'far-d:8080'] },
  },
  {
    what: 'keeps one of its endpoints',
    before: { pods: ['near-a:9090', 'near-b:9090', 'far-c:9090'] },
    after: { pods: ['near-b:9090', 'far-d:9090'] },
  },
  {
    what: 'gains and loses its only endpoint',
    before: { pods: [] },
    after: { pods: ['near-a:8080'] },
    mayBeRefused: true,
  },
  {
    what: 'sends to its node alone, or not',
    before: { pods: ['near-a:8080', 'far-c:8080'] },
    after: { pods: ['near-a:8080', 'far-c:8080'], internalTrafficPolicy: 'Local', reachable: ['near-a:8080'] },
  },
  {
    what: 'has affinity, or not',
    before: { pods: ['near-a:8080', 'far-d:8080'] },
    after: { pods: ['near-a:8080', 'far-d:8080'], affinitySeconds: 600 },
  },
  {
    what: 'has source ranges, or not',
    before: { pods: ['near-b:8080'] },
    after: { pods: ['near-b:8080'], loadBalancerSourceRanges: ['192.0.2.0/24'] },
    isByVip: true,
  },
  {
    what: 'keeps what comes from outside on its node, or not',
    before: { pods: ['near-b:8080', 'far-d:8080'] },
    after: { pods: ['near-b:8080', 'far-d:8080'], externalTrafficPolicy: 'Local', reachable: ['near-b:8080'] },
    isByVip: true,
  },
]

/** Every hundredth changes, and is dialed; so is the one fifty after it, which stays. */
function changeOf(index: number): ServiceChange {
  const [list, at] = index % 100 === 0 ? [CHANGES, index / 100] : [STAYING, (index - 50) / 100]
  const change = list[at % list.length]
  if (change === undefined) throw new Error(`no change for service ${index}`)
  return change
}

function portFields(
  index: number,
  { total, isChanged }: { readonly total: number; readonly isChanged: boolean },
): Partial<PortDescription> {
  if (index % 50 !== 0 || index >= total) return { endpoints: otherEndpoints(index) }
  const change = changeOf(index)
  const { pods, reachable: _, ...fields } = isChanged ? change.after : change.before
  return {
    ...fields,
    ...(change.isByVip && { loadBalancerVIPs: [vip(index)], nodePort: 30_000 + index / 50 }),
    endpoints: pods.map((pod) => `${socketOf(pod)}@${pod.startsWith('near') ? 'node-a' : 'node-b'}`),
  }
}

const reachable = ({ pods, reachable: some = pods }: ChangedFields): readonly string[] => some.map(socketOf)

function socketOf(pod: ChangedFields['pods'][number]): string {
  const [name, port] = pod.split(':') as [Name, string]
  return `${addressOf(name, 'IPv4')}:${port}`
}

/** Nobody dials these. */
const otherEndpoints = (index: number): readonly string[] =>
  Array.from({ length: 5 }, (_, number) => `${address(128, index * 5 + number)}:8080@node-b`)

const clusterIP = (index: number): string => address(97, index)
const vip = (index: number): string => `203.0.114.${index / 50}`

const address = (second: number, index: number): string =>
  `10.${second + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
