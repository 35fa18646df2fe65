import { endpointKey, type Front } from '@pointsman/core'
import type { Explanation } from './explain-service.js'
import type { FrontWays, Sender, SenderWay } from './service-ways.js'

/** The answer in a word, and in a sentence. */
export interface Conclusion {
  /** Whether everything, something, or nothing that is sent to the Service reaches an endpoint. */
  readonly reached: 'always' | 'sometimes' | 'never' | 'no-rules'
  readonly message: string
}

export function conclusionOf({ ports }: Pick<Explanation, 'ports'>): Conclusion {
  if (ports.length === 0) return { reached: 'no-rules', message: 'has no rules' }
  const fronts = ports.flatMap((port) => port.fronts)
  const ways = fronts.flatMap(({ decisive }) => decisive)
  const failing = fronts.filter(({ decisive }) => decisive.some(isFailing))
  const [first] = failing
  const used = new Set(ways.flatMap((way) => way.endpoints.map(({ address, port }) => `${address} ${port}`))).size
  const counted = used === 1 ? '1 endpoint' : `${used} endpoints`
  if (first === undefined) return { reached: 'always', message: `is served by ${counted}` }
  const missing = failureText(first)
  if (ways.every(isFailing)) return { reached: 'never', message: `is not served: everything is ${missing}` }
  const more = failing.length === 1 ? '' : `, and so on for ${failing.length - 1} more`
  return {
    reached: 'sometimes',
    message: `is served by ${counted}, but what comes from ${sendersText(first.decisive.filter(isFailing))} to ${frontText(first)} is ${missing}${more}`,
  }
}

const isFailing = ({ verdict }: SenderWay): boolean => verdict !== 'endpoints'

function failureText({ decisive }: FrontWays): string {
  const way = decisive.find(isFailing)
  return way === undefined ? '' : `${verdictText(way)}: ${way.reason}`
}

const FRONTS: { readonly [type in Front['type']]: string } = {
  clusterIP: 'cluster IP',
  externalIP: 'external IP',
  loadBalancerIP: 'load balancer',
  nodePort: 'node port',
}

/** `node port 192.168.55.10:30080`. */
export const frontText = ({ front: { type, port }, address }: Pick<FrontWays, 'front' | 'address'>): string =>
  `${FRONTS[type]} ${endpointKey({ address, port })}`

/** `anybody`, `pods and the node`; `others` beside source ranges. */
export function sendersText(ways: readonly SenderWay[], everybody = 'anybody'): string {
  const senders = new Set(ways.map(({ from }) => from))
  const names = ORDER.filter((sender) => senders.has(sender)).map((sender) => NAMES[sender])
  if (names.length === 3 && !senders.has('ranges')) return everybody
  return names.join(', ').replace(/, ([^,]*)$/, ' and $1')
}

const NAMES: { readonly [sender in Sender]: string } = {
  ranges: 'the source ranges',
  pod: 'pods',
  node: 'the node',
  outside: 'outside',
}
const ORDER = ['ranges', 'pod', 'node', 'outside'] as const

export const verdictText = ({ verdict }: Pick<SenderWay, 'verdict'>): string =>
  verdict === 'no-service' ? 'not for a Service' : verdict
