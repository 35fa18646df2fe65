import {
  type ChangeLogReader,
  endpointKey,
  endpointsOfSlice,
  type KubernetesObject,
  parseServicePortName,
  type RecordFilter,
  seq,
  type Seq,
  servicePortsOf,
  type ServicePortIdentity,
} from '@pointsman/core'
import { endpointChainName, serviceChainNames } from '../ruleset/chain-names.js'
import { isEndpointChain } from './owner-of-chain.js'

/** Whose a chain was. */
export interface FoundChain extends ServicePortIdentity {
  /** Of a KUBE-SEP- chain: `10.244.1.14:8080`. */
  readonly endpoint?: string
}

/**
 * Whose a chain with a hash was at any time up to a record: a hash cannot be turned back, so that every name
 * of the history is hashed until one fits. Names of service ports are in the Services' records; endpoints in those of all
 * slices, of which there may be many, and which are gone through from the newest on: yields where it is, to be watched and
 * given up.
 */
export function* findChain(
  chain: string,
  { reader, toSeq }: { readonly reader: ChangeLogReader; readonly toSeq: Seq },
): Generator<Seq, FoundChain | undefined, undefined> {
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
  let found: FoundChain | undefined
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

type Look = (object: KubernetesObject) => FoundChain | undefined

function lookInService(chain: string): Look {
  return (object) => {
    if (object.kind !== 'Service') return undefined
    return servicePortsOf(object).ports.find((port) => Object.values(serviceChainNames(port)).includes(chain))
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
