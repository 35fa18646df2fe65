import { displayName, endpointKey, type Front, frontKey, usesLocalEndpoints, shortList } from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import type { Explanation, Overlap, PortExplanation } from './answer.js'
import type { FrontWays, Sender, SenderWay } from './front-ways.js'

/** The answer in a word, and in a sentence. */
interface Conclusion {
  /** Whether everything, something, or nothing that is sent to the Service reaches an endpoint of its own. */
  readonly reached: 'always' | 'sometimes' | 'never' | 'no-rules'
  readonly message: string
  /** What decides and cannot be known from the input; one sentence each. Absent: nothing. */
  readonly dependsOn?: readonly string[]
}

export function conclusionOf({
  ports,
  hasNode,
  hasSlices,
}: Pick<Explanation, 'ports' | 'hasNode' | 'hasSlices'>): Conclusion {
  if (ports.length === 0) return { reached: 'no-rules', message: 'has no rules' }
  const dependsOn = [
    ...(hasSlices ? [] : [NO_SLICES]),
    ...(hasNode ? [] : localEndpointsElsewhere(ports)),
    ...ports.flatMap(undefinedOrders),
  ]
  const { reached, message } = knownConclusion(ports)
  if (dependsOn.length === 0) return { reached, message }
  const more = dependsOn.length > MOST_SHOWN ? `; and ${dependsOn.length - MOST_SHOWN} more` : ''
  return { reached, message: `${message}; ${dependsOn.slice(0, MOST_SHOWN).join('; ')}${more}`, dependsOn }
}

const MOST_SHOWN = 2

/** A cluster has some at any time: that of its API server. */
const NO_SLICES =
  'the input has no EndpointSlice at all: add them, or this is the verdict for a Service without endpoints'

/** Without a node in the question, policy Local is answered as for a node without endpoints. */
function localEndpointsElsewhere(ports: readonly PortExplanation[]): readonly string[] {
  const local = ports.filter(({ row }) => usesLocalEndpoints(row.port))
  const nodes = new Set(local.flatMap(({ row }) => row.endpoints.flatMap(({ endpoint }) => endpoint.nodeName ?? [])))
  if (nodes.size === 0) return []
  const names = [...nodes].toSorted()
  return [
    `this is a node without endpoints, and traffic with policy Local depends on the node: ask with --node for ${shortList(names, MOST_SHOWN)}`,
  ]
}

/** As Pointsman decides, where kube-proxy leaves it open. */
function knownConclusion(ports: readonly PortExplanation[]): Pick<Conclusion, 'reached' | 'message'> {
  const own = new Set<string>(ports.map(({ row }) => row.port.id))
  const goesElsewhere = (way: SenderWay): boolean =>
    way.verdict === 'endpoints' && way.servicePort !== undefined && !own.has(way.servicePort)
  const fronts = ports.flatMap((port) => port.fronts)
  const ways = fronts.flatMap(({ decisive }) => decisive)
  const reaching = ways.filter((way) => !isFailing(way) && !goesElsewhere(way))
  const used = new Set(reaching.flatMap((way) => way.endpoints.map(({ address, port }) => `${address} ${port}`))).size
  const taken = fronts.filter(({ decisive }) => decisive.some(goesElsewhere))
  const counted = `${countOf(used, 'endpoint')}${taken.length > 0 ? ' of its own' : ''}`
  const failing = fronts.filter(({ decisive }) => decisive.some(isFailing))
  const [first] = failing
  const isDefined = ({ front }: FrontWays): boolean =>
    ports.every(({ overlaps }) =>
      overlaps.every((overlap) => frontKey(overlap.front) !== frontKey(front) || overlap.isDefined),
    )
  // Of the others it is not known where it goes: that is said apart.
  const lost = taken.find(isDefined)
  const losing = lost === undefined ? '' : `traffic to ${frontText(lost)} goes to ${receiversText(lost, goesElsewhere)}`
  if (first === undefined)
    return {
      reached: taken.length === 0 ? 'always' : reaching.length > 0 ? 'sometimes' : 'never',
      message: `is served by ${counted}${losing === '' ? '' : `, and ${losing}`}`,
    }
  const missing = failureText(first)
  if (ways.every(isFailing)) return { reached: 'never', message: `is not served: all traffic is ${missing}` }
  const more = failing.length === 1 ? '' : `, and ${countOf(failing.length - 1, 'more frontend')} likewise`
  const failure = `traffic from ${sendersText(first.decisive.filter(isFailing))} to ${frontText(first)} is ${missing}${more}`
  const also = losing === '' ? '' : `; ${losing}`
  return reaching.length === 0
    ? { reached: 'never', message: `is not served: ${failure}${also}` }
    : { reached: 'sometimes', message: `is served by ${counted}, but ${failure}${also}` }
}

function receiversText({ decisive }: FrontWays, goesElsewhere: (way: SenderWay) => boolean): string {
  const ids = decisive.filter(goesElsewhere).map(({ servicePort = '' }) => servicePort.split('/').slice(0, 2).join('/'))
  return [...new Set(ids)].join(', ')
}

/** Addresses that other Services claim as well, where the verdict is another in the other order. */
function undefinedOrders({ row, overlaps }: PortExplanation): readonly string[] {
  return overlaps
    .filter(({ isDefined }) => !isDefined)
    .map((overlap) => {
      const { other, otherIsFirst } = overlap
      const winner = otherIsFirst ? other.service : row.port.service
      const why = other.createdAt === row.port.createdAt ? 'the first by name' : 'the older'
      return `${overlapText(overlap)} is also claimed by ${displayName(other)}, and kube-proxy does not define which of the two Services wins on a node (Pointsman: ${why}, ${winner})`
    })
}

/** `203.0.113.9:80`, `node port 30080`. */
export const overlapText = ({ front: { address, port } }: Pick<Overlap, 'front'>): string =>
  address === undefined ? `node port ${port}` : endpointKey({ address, port })

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

/** `node port 192.168.55.10:30080`; `node port 30080` of a node whose address is not known. */
export const frontText = ({ front: { type, port }, address }: Pick<FrontWays, 'front' | 'address'>): string =>
  `${FRONTS[type]} ${address === undefined ? port : endpointKey({ address, port })}`

/** `anywhere`, `pods and the node`; `others` beside source ranges. */
export function sendersText(ways: readonly SenderWay[], everybody = 'anywhere'): string {
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
