import {
  loggedConfigAt,
  fateKey,
  findBreak,
  followFate,
  NO_SEQ,
  type Broken,
  type FateFlip,
  type FlipCause,
  type PacketFate,
  type Seq,
  type ServiceName,
} from '@pointsman/core'
import type { BisectQuestion } from './bisect-question.js'
import { candidatesFor } from './candidate-records.js'

export interface Bisection extends Broken {
  /** In order. */
  readonly flips: readonly FateFlip[]
  /** At the beginning and at the end of the span. */
  readonly first: PacketFate
  readonly last: PacketFate
  readonly causeOf: (flip: FateFlip) => FlipCause
  /** Services that have or had a front that the packet is sent to. */
  readonly services: readonly ServiceName[]
  /** Records of the span that could touch the packet. */
  readonly candidates: number
}

/** Follows the packet from record to record. Yields the position every so often, to be watched and given up. */
export function* bisect(question: BisectQuestion): Generator<Seq, Bisection, undefined> {
  const { reader, packet, fateAt, exact, from, isGoodAtFrom, to, config, configs, node } = question
  const keyOf = (fate: PacketFate): string => fateKey(fate, exact)
  const start = isGoodAtFrom ? startFor(question) : floorOf(question)
  const { services, objects, records } = candidatesFor({
    reader,
    target: { ...packet, address: packet.destination, port: packet.destinationPort },
    after: start,
    toSeq: to.seq,
    nodeName: node?.name,
    configs,
  })
  const inForce = (configs ? loggedConfigAt(reader, start) : undefined) ?? config
  const history = followFate({ fateAt, keyOf, after: from.seq, nodeName: node?.name, config: inForce, objects })
  let candidates = 0
  let taken = 0
  for (const record of records()) {
    history.take(record)
    if (record.seq > from.seq) candidates++
    if (++taken % BREATH === 0) yield record.seq
  }
  const flips = history.flips()
  const first = history.first()
  return {
    ...findBreak(flips, { keyOf, ...(isGoodAtFrom && { good: first }) }),
    flips,
    first,
    last: history.last(),
    causeOf: (flip) => history.causeOf(flip),
    services,
    candidates,
  }
}

const BREATH = 500

function floorOf({ reader }: BisectQuestion): Seq {
  const { pruned, firstSeq } = reader.info()
  return pruned ? ((firstSeq - 1) as Seq) : NO_SEQ
}

/** An edit is behind what follows within minutes: so much more than what is asked about has to be read. */
function startFor(question: BisectQuestion): Seq {
  const { reader, from } = question
  const floor = floorOf(question)
  if (from.time === undefined) return floor
  const found = reader.seqAt(from.time - LONGEST_WAY_MS)
  return found > floor ? found : floor
}

const LONGEST_WAY_MS = 5 * 60_000
