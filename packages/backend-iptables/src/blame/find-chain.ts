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

/** From the newest to the oldest, each of them read forwards. */
function* spansBack({ firstSeq, toSeq }: { readonly firstSeq: Seq; readonly toSeq: Seq }): Generator<RecordFilter> {
  for (let end: number = toSeq; end >= firstSeq; end -= SPAN) {
    yield { fromSeq: seq(Math.max(firstSeq, end - SPAN + 1)), toSeq: seq(end) }
  }
}

/** Records read forwards at a time: enough for all objects to be read once, few enough for a recent one to be found soon. */
const SPAN = 20_000

type Look = (object: KubernetesObject) => FoundChain | undefined

function lookInService(chain: string): Look {
  return (object) => {
    if (object.kind !== 'Service') return undefined
    return servicePortsOf(object).ports.find((port) => Object.values(serviceChainNames(port)).includes(chain))
  }
}

/** Each endpoint of each service port is hashed once. */
function lookInSlice(chain: string): Look {
  const seen = new Set<string>()
  return (object) => {
    if (object.kind !== 'EndpointSlice') return undefined
    for (const [id, endpoints] of endpointsOfSlice(object).endpoints) {
      for (const endpoint of endpoints) {
        const name = `${id} ${endpointKey(endpoint)}`
        if (seen.has(name)) continue
        seen.add(name)
        const identity = parseServicePortName(id)
        if (endpointChainName(identity, endpoint) === chain) return { ...identity, endpoint: endpointKey(endpoint) }
      }
    }
    return undefined
  }
}
