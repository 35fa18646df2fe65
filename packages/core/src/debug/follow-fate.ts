import type { Endpoint } from '../model/endpoint.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServicePortName } from '../model/names.js'
import { configOfRecord, type ProxyConfig } from '../model/proxy-config.js'
import { type ConfigRecord, type LogRecord, NO_SEQ, type ObjectRecord, type Seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import { watchEventOf } from '../model/watch-event-of.js'
import { createStateFold } from '../state/state-fold.js'
import type { State } from '../state/state.js'
import { createEditFinder } from './edit-finder.js'
import { flipCause, type FlipCause } from './flip-cause.js'

/** What becomes of a packet, as whoever follows it is told. */
export interface PacketFate {
  readonly verdict: 'endpoints' | 'rejected' | 'dropped' | 'no-service'
  /** One sentence for a person. */
  readonly reason: string
  /** The service port that decided; absent where none did. */
  readonly servicePort?: ServicePortName
  /** Where it may go, sorted; empty unless the verdict is `endpoints`. */
  readonly endpoints: readonly FateEndpoint[]
}

export interface FateEndpoint {
  readonly address: string
  readonly port: number
  /** 0 to 1. */
  readonly odds: number
  readonly masqueraded: boolean
}

/** A record after which a packet's fate was another. */
export interface FateFlip<Fate extends PacketFate = PacketFate> {
  readonly record: ObjectRecord | ConfigRecord
  /** The version of the record's object before; absent where there was none, or where it is not known. */
  readonly previous?: KubernetesObject
  readonly before: Fate
  readonly after: Fate
}

export interface FateQuestion<Fate extends PacketFate> {
  /** The fate of the packet that is asked about. Called for the states after single records, and only for them. */
  readonly fateAt: (state: State, config: ProxyConfig) => Fate
  /** Equal for fates that are not told apart. */
  readonly keyOf: (fate: Fate) => string
  /** Flips count after this record. */
  readonly after: Seq
  /** The node that the packet is on; absent: the only one. */
  readonly nodeName?: string | undefined
  /** In force until a record says otherwise. */
  readonly config: ProxyConfig
  /** What is there before the first record. */
  readonly objects?: Iterable<KubernetesObject>
}

/** The fate of one packet, record by record. */
export interface FateHistory<Fate extends PacketFate = PacketFate> {
  take(record: LogRecord): void
  /** After the last record up to `after`. */
  readonly first: () => Fate
  /** After the last record. */
  readonly last: () => Fate
  /** In order. */
  readonly flips: () => readonly FateFlip<Fate>[]
  /** What a flip comes from: to be asked when all records were taken, because an edit may be seen after its effect. */
  readonly causeOf: (flip: FateFlip) => FlipCause
}

/**
 * Follows a packet's fate. Of the records only those that can touch it are needed: of the Services that have or had a front
 * that it is sent to, of their slices, of the Node, and of the configuration. States are folded on from each other.
 */
export function followFate<Fate extends PacketFate>({
  fateAt,
  keyOf,
  after,
  nodeName,
  objects = [],
  ...given
}: FateQuestion<Fate>): FateHistory<Fate> {
  const fold = createStateFold({ ...(nodeName !== undefined && { nodeName }) })
  const versions = new Map<string, KnownVersion>()
  const edits = createEditFinder()
  const flips: FollowedFlip<Fate>[] = []
  let config = given.config
  let first: Fate | undefined
  let fate: Fate | undefined

  for (const object of objects) {
    fold.track(NO_SEQ, { type: 'ADDED', object, observedAt: 0 })
    versions.set(objectKey(object), { object, isDeleted: false })
  }
  fold.apply()

  const current = (): Fate => {
    fate ??= fateAt(fold.state, config)
    return fate
  }

  /** Makes the change and gives whether it can have changed a fate. */
  const apply = (record: ObjectRecord | ConfigRecord): boolean => {
    if (record.type === 'config') {
      config = configOfRecord(record.config)
      return true
    }
    fold.track(record.seq, watchEventOf(record))
    const { changed, nodeChanged } = fold.apply()
    return nodeChanged || changed.size > 0
  }

  const follow = (record: ObjectRecord | ConfigRecord, known: KnownVersion | undefined): void => {
    const before = current()
    first ??= before
    const decider = before.servicePort
    const listed = (id: ServicePortName | undefined): readonly Endpoint[] =>
      id === undefined ? [] : (fold.state.endpoints.get(id) ?? [])
    const listedBefore = new Map(fold.state.endpoints)
    if (!apply(record)) return
    fate = undefined
    const now = current()
    if (keyOf(before) === keyOf(now)) return
    const id = before.verdict === 'endpoints' ? decider : (now.servicePort ?? decider)
    flips.push({
      record,
      ...(known !== undefined && !known.isDeleted && { previous: known.object }),
      before,
      after: now,
      sliceBefore: known?.record,
      port: id && fold.state.services.get(id),
      listed: { before: (id && listedBefore.get(id)) ?? [], after: listed(id) },
    })
  }

  return {
    take(record) {
      if (record.type !== 'object' && record.type !== 'config') return
      const known = record.type === 'object' ? versions.get(objectKey(record.object)) : undefined
      if (record.seq > after) follow(record, known)
      else {
        apply(record)
        fate = undefined
      }
      if (record.type !== 'object') return
      edits.take(record, known?.object)
      versions.set(objectKey(record.object), { object: record.object, record, isDeleted: record.event === 'DELETED' })
    },
    first: () => first ?? current(),
    last: current,
    flips: () => flips,
    causeOf(flip) {
      const { record, before, after: now } = flip
      const followed = flips.find((each) => each === flip)
      if (record.type === 'config' || record.kind !== 'EndpointSlice' || followed === undefined)
        return { type: 'itself' }
      const edit = edits.behind({ before: followed.sliceBefore, after: record })
      return flipCause({ record, edit, before, after: now, port: followed.port, listed: followed.listed })
    },
  }
}

interface FollowedFlip<Fate extends PacketFate> extends FateFlip<Fate> {
  readonly sliceBefore: ObjectRecord | undefined
  readonly port: ServicePort | undefined
  /** Endpoints of that port, whatever their conditions. */
  readonly listed: { readonly before: readonly Endpoint[]; readonly after: readonly Endpoint[] }
}

interface KnownVersion {
  /** Of a deleted object the last one: who replaces a Service edits it. */
  readonly object: KubernetesObject
  /** Absent: it was there before the first record. */
  readonly record?: ObjectRecord
  readonly isDeleted: boolean
}

/** Equal for fates of one class; where it is exact, of one class, endpoints, odds and masquerading. */
export function fateKey({ verdict, endpoints }: PacketFate, exact: boolean): string {
  if (!exact || verdict !== 'endpoints') return verdict
  return endpoints.map(({ address, port, odds, masqueraded }) => [address, port, odds, masqueraded].join(' ')).join()
}

const objectKey = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
