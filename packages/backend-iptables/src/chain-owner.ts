import {
  endpointKey,
  endpointsOfSlice,
  parseServicePortName,
  seq,
  servicePortsOf,
  type ChainOwner,
  type ChangeLogReader,
  type FormerChainOwner,
  type KubernetesObject,
  type RecordFilter,
  type Seq,
  type State,
} from '@pointsman/core'
import { formatRule, type Rule } from 'node-iptables'
import { DROP_MARKED } from './ruleset/base-rules.js'
import {
  endpointChainName,
  everyServiceChainName,
  isBaseChain,
  isEndpointChain,
  isServiceChain,
} from './ruleset/layout.js'

/**
 * Whose a chain with a hash is in a state, also where none of its rules has a comment: the name of each service port, and
 * for KUBE-SEP- each of its endpoints, is hashed until one fits. Both families have chains of one name: the first is
 * answered that `state.services` has. Undefined where none fits: the chain is of another time, or of no service.
 */
export function ownerOfChain(
  chain: string,
  { services, endpoints }: Pick<State, 'services' | 'endpoints'>,
): ChainOwner | undefined {
  if (!isServiceChain(chain)) return undefined
  for (const port of services.values()) {
    if (!isEndpointChain(chain)) {
      if (everyServiceChainName(port).includes(chain)) return { port }
      continue
    }
    const endpoint = endpoints.get(port.id)?.find((each) => endpointChainName(port, each) === chain)
    if (endpoint !== undefined) return { port, endpoint }
  }
  return undefined
}

/**
 * Whose a chain with a hash was at any time up to a record: a hash cannot be turned back, so that every name
 * of the history is hashed until one fits. Names of service ports are in the Services' records; endpoints in those of all
 * slices, of which there may be many, and which are gone through from the newest on: yields where it is, to be watched and
 * given up.
 */
export function* formerOwnerOfChain(
  chain: string,
  { reader, toSeq }: { readonly reader: ChangeLogReader; readonly toSeq: Seq },
): Generator<Seq, FormerChainOwner | undefined, undefined> {
  const { firstSeq, pruned } = reader.info()
  const look = isEndpointChain(chain) ? lookInSlice(chain) : lookInService(chain)
  const histories: Iterable<RecordFilter> = isEndpointChain(chain)
    ? spansBack({ firstSeq, toSeq })
    : [{ kinds: ['Service'], toSeq }]
  for (const filter of histories) {
    for (const record of reader.records({ types: ['object'], ...filter })) {
      const found = record.type === 'object' ? look(record.object) : undefined
      if (found !== undefined) return found
    }
    yield filter.fromSeq ?? firstSeq
  }
  let found: FormerChainOwner | undefined
  if (pruned) reader.eachObjectAt(seq(firstSeq - 1), (object) => (found ??= look(object)))
  return found
}

/** From the newest to the oldest, each of them read forwards, and twice as long as the one before. */
function* spansBack({ firstSeq, toSeq }: { readonly firstSeq: Seq; readonly toSeq: Seq }): Generator<RecordFilter> {
  let length = FIRST_SPAN
  for (let end: number = toSeq; end >= firstSeq; end -= length, length = Math.min(2 * length, LONGEST_SPAN)) {
    yield { fromSeq: seq(Math.max(firstSeq, end - length + 1)), toSeq: seq(end) }
  }
}

/** What went lately is found soon; and each span begins with reading all objects at its beginning. */
const FIRST_SPAN = 20_000
const LONGEST_SPAN = 160_000

type Look = (object: KubernetesObject) => FormerChainOwner | undefined

function lookInService(chain: string): Look {
  return (object) => {
    if (object.kind !== 'Service') return undefined
    return servicePortsOf(object).ports.find((port) => everyServiceChainName(port).includes(chain))
  }
}

/** An endpoint is hashed when it comes into a slice, and not again with every version in which it stays. */
function lookInSlice(chain: string): Look {
  const hashed = new Map<string, ReadonlySet<string>>()
  return (object) => {
    if (object.kind !== 'EndpointSlice') return undefined
    for (const [id, endpoints] of endpointsOfSlice(object).endpoints) {
      const key = `${object.metadata.name} ${id} ${endpoints[0]?.port ?? 0}`
      const before = hashed.get(key)
      hashed.set(key, new Set(endpoints.map(({ address }) => address)))
      for (const endpoint of endpoints) {
        // Ports differ within a list only where a slice has two of one name, which is as good as never.
        if (before?.has(endpoint.address) === true && endpoint.port === endpoints[0]?.port) continue
        const identity = parseServicePortName(id)
        if (endpointChainName(identity, endpoint) === chain) return { ...identity, endpoint: endpointKey(endpoint) }
      }
    }
    return undefined
  }
}

/**
 * Whether a chain is the proxy's alone. KUBE-FIREWALL and KUBE-MARK-DROP are not: kubelet makes them, and puts rules into them, as
 * well.
 */
export const isOurChain = (chain: string): boolean => isBaseChain(chain) || isServiceChain(chain)

/** Whether a kubelet has KUBE-MARK-DROP for its own, by the rules of KUBE-FIREWALL. */
export const hasMarkDrop = (firewall: readonly Rule[]): boolean =>
  dropsByMark(firewall.filter((rule) => !isDropMarked(rule)))

/** Whether rules of KUBE-FIREWALL drop what KUBE-MARK-DROP marks, whichever program made them. Default: by whichever mark. */
export const dropsByMark = (firewall: readonly Rule[], mark?: number): boolean =>
  firewall.some(
    ({ matches, target }) =>
      target?.type === 'jump' &&
      target.chain === 'DROP' &&
      matches.some(
        (match) =>
          match.type === 'mark' &&
          (mark === undefined || ((mark & match.mask) >>> 0 === match.value) !== match.negated),
      ),
  )

/** Whether a rule is the one that layout `classic` puts into KUBE-FIREWALL where no kubelet does. */
export const isDropMarked = (rule: Rule): boolean => OURS.has(formatRule(rule))

const OURS: ReadonlySet<string> = new Set(DROP_MARKED.map((rule) => formatRule(rule)))

/** The chain that a rule leads to. Undefined: none, or a target that is no chain. */
export const chainOf = ({ target }: Rule): string | undefined =>
  target?.type === 'jump' || target?.type === 'goto' ? target.chain : undefined

/**
 * Whether a rule in a chain that is not ours is of a proxy's making: it leads to one of ours and asks for nothing but new
 * connections. Any other rule that leads to our chains belongs to another program.
 */
export function isOurJump(rule: Rule): boolean {
  const chain = chainOf(rule)
  if (chain === undefined || !isOurChain(chain)) return false
  const { matches, target, ...conditions } = rule
  return (
    target?.type === 'jump' &&
    Object.values(conditions).every((condition) => condition === undefined) &&
    matches.some((match) => match.type === 'comment' && /^(?:kubernetes|kube-proxy) /.test(match.comment)) &&
    matches.every((match) => match.type === 'comment' || (match.type === 'conntrack' && !match.negated))
  )
}
