import { type Endpoint, endpointKey } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServicePortName } from '../model/names.js'
import type { AddressedPacket } from '../model/packet.js'
import { configOfRecord, type ProxyConfig } from '../model/proxy-config.js'
import { type ConfigRecord, type LogRecord, NO_SEQ, type ObjectRecord, type Seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import { watchEventOf } from '../model/watch-event.js'
import { frontsOf, type State } from '../state/state.js'
import { createStateFold, type StateFold } from '../state/state-fold.js'
import { causeOf, isKeptByController, type OutageCause, type ServiceEdit } from './outage.js'
import { createEditFinder } from './service-edits.js'

/** What becomes of a packet, in the terms of a report. */
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

/** The fates of one packet on several nodes, record by record. */
export interface FatesHistory<Fate extends PacketFate = PacketFate> extends Pick<
  FateHistory<Fate>,
  'take' | 'causeOf'
> {
  readonly ofNode: (name: string) => Pick<FateHistory<Fate>, 'first' | 'last' | 'flips'>
}

export interface FatesQuestion<Fate extends PacketFate> extends Omit<FateQuestion<Fate>, 'fateAt' | 'nodeName'> {
  /** The fate on each node, and the names of the nodes that have it: every time the same names, each once. */
  readonly fatesAt: (state: State, config: ProxyConfig) => Iterable<readonly [Fate, readonly string[]]>
}

/** As `followFate`, of several nodes at once: records of every Node are needed. */
export const followFates = <Fate extends PacketFate>(question: FatesQuestion<Fate>): FatesHistory<Fate> =>
  follow(question, { fold: createStateFold(), everyNode: true })

/**
 * Follows a packet's fate. Of the records only those that can touch it are needed: of the Services that have or had a front
 * that it is sent to, of their slices, of the Node, and of the configuration. States are folded on from each other.
 */
export function followFate<Fate extends PacketFate>({
  fateAt,
  nodeName,
  ...question
}: FateQuestion<Fate>): FateHistory<Fate> {
  const fold = createStateFold({ ...(nodeName !== undefined && { nodeName }) })
  const fatesAt = (state: State, config: ProxyConfig) => [[fateAt(state, config), ['']]] as const
  const { take, causeOf: causeOfFlip, ofNode } = follow({ ...question, fatesAt }, { fold, everyNode: false })
  return { take, causeOf: causeOfFlip, ...ofNode('') }
}

function follow<Fate extends PacketFate>(
  { fatesAt, keyOf, after, objects = [], ...given }: FatesQuestion<Fate>,
  { fold, everyNode }: { readonly fold: StateFold; readonly everyNode: boolean },
): FatesHistory<Fate> {
  const versions = new Map<string, KnownVersion>()
  const edits = createEditFinder()
  const flips = new Map<string, FollowedFlip<Fate>[]>()
  let config = given.config
  let first: ReadonlyMap<string, Fate> | undefined
  let fates: ReadonlyMap<string, Fate> | undefined

  for (const object of objects) {
    fold.track(NO_SEQ, { type: 'ADDED', object, observedAt: 0 })
    versions.set(objectKey(object), { object, isDeleted: false })
  }
  fold.apply()

  const current = (): ReadonlyMap<string, Fate> => {
    if (fates !== undefined) return fates
    const now = new Map<string, Fate>()
    for (const [fate, names] of fatesAt(fold.state, config)) for (const name of names) now.set(name, fate)
    fates = now
    return now
  }

  /** Makes the change and gives whether it can have changed a fate. */
  const apply = (record: ObjectRecord | ConfigRecord): boolean => {
    if (record.type === 'config') {
      config = configOfRecord(record.config)
      return true
    }
    const ofNode = everyNode && record.kind === 'Node'
    const before = ofNode ? fold.state.nodes.get(record.name) : undefined
    fold.track(record.seq, watchEventOf(record))
    const { changed, nodeChanged, serviceCidrsChanged } = fold.apply()
    if (ofNode && !isEqual(before, fold.state.nodes.get(record.name))) return true
    return nodeChanged || serviceCidrsChanged || changed.size > 0
  }

  const followRecord = (record: ObjectRecord | ConfigRecord, known: KnownVersion | undefined): void => {
    const before = current()
    first ??= before
    const listed = (id: ServicePortName | undefined): readonly Endpoint[] =>
      id === undefined ? [] : (fold.state.endpoints.get(id) ?? [])
    const listedBefore = new Map(fold.state.endpoints)
    if (!apply(record)) return
    fates = undefined
    // Nodes share fates.
    const keys = new Map<Fate, string>()
    const key = (fate: Fate): string => {
      const text = keys.get(fate) ?? keyOf(fate)
      keys.set(fate, text)
      return text
    }
    for (const [name, now] of current()) {
      const was = before.get(name)
      if (was === undefined || key(was) === key(now)) continue
      const id = was.verdict === 'endpoints' ? was.servicePort : (now.servicePort ?? was.servicePort)
      const flip: FollowedFlip<Fate> = {
        record,
        ...(known !== undefined && !known.isDeleted && { previous: known.object }),
        before: was,
        after: now,
        sliceBefore: known?.record,
        port: id && fold.state.services.get(id),
        listed: { before: (id && listedBefore.get(id)) ?? [], after: listed(id) },
      }
      const list = flips.get(name)
      if (list === undefined) flips.set(name, [flip])
      else list.push(flip)
      followed.set(flip, flip)
    }
  }
  const followed = new WeakMap<FateFlip, FollowedFlip<Fate>>()

  return {
    take(record) {
      if (record.type !== 'object' && record.type !== 'config') return
      const known = record.type === 'object' ? versions.get(objectKey(record.object)) : undefined
      if (record.seq > after) followRecord(record, known)
      else {
        apply(record)
        fates = undefined
      }
      if (record.type !== 'object') return
      edits.take(record, known?.object)
      versions.set(objectKey(record.object), { object: record.object, record, isDeleted: record.event === 'DELETED' })
    },
    ofNode: (name) => ({
      first: () => fateOn(name, first ?? current()),
      last: () => fateOn(name, current()),
      flips: () => flips.get(name) ?? [],
    }),
    causeOf(flip) {
      const { record, before, after: now } = flip
      const known = followed.get(flip)
      if (record.type === 'config' || record.kind !== 'EndpointSlice' || known === undefined) return { type: 'itself' }
      const edit = edits.behind({ before: known.sliceBefore, after: record })
      return flipCause({ record, edit, before, after: now, port: known.port, listed: known.listed })
    },
  }
}

function fateOn<Fate extends PacketFate>(name: string, fates: ReadonlyMap<string, Fate>): Fate {
  const fate = fates.get(name)
  if (fate === undefined) throw new TypeError(`no fate was given of node ${name}`)
  return fate
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

/** What is behind a record after which a packet's fate was another. */
export type FlipCause =
  /** Nothing: a Service, a Node or the configuration was changed, and that decides by itself. */
  | { readonly type: 'itself' }
  /** What takes a packet's endpoints away; an edit also where it gives some. */
  | OutageCause
  /** The endpoints are there and ready: their hints, nodes or zones changed, or those of others. */
  | { readonly type: 'hints' }
  /** Endpoints that were listed are ready now. */
  | { readonly type: 'ready' }
  /** Endpoints came that were not listed. */
  | { readonly type: 'pods-came' }

interface SliceFlip {
  readonly record: ObjectRecord
  /** The edit of its Service that came right before. */
  readonly edit: ServiceEdit | undefined
  readonly before: PacketFate
  readonly after: PacketFate
  /** The service port that decided. */
  readonly port: ServicePort | undefined
  /** Its endpoints, whatever their conditions. */
  readonly listed: { readonly before: readonly Endpoint[]; readonly after: readonly Endpoint[] }
}

/** What a slice's change that a packet felt comes from: an edit only where it explains what is seen of the endpoints. */
function flipCause({ record, edit, before, after, port, listed }: SliceFlip): FlipCause {
  const [was, is] = [reached(before), reached(after)]
  const lost = listed.before.filter((endpoint) => was.has(endpointKey(endpoint)) && !is.has(endpointKey(endpoint)))
  const came = listed.after.filter((endpoint) => is.has(endpointKey(endpoint)) && !was.has(endpointKey(endpoint)))
  if (lost.length > 0 && port !== undefined) {
    const left = listed.after.filter((endpoint) => lost.some((one) => endpointKey(one) === endpointKey(endpoint)))
    if (left.length > 0 && left.every(({ ready }) => ready)) return { type: 'hints' }
    return causeOf({ emptiedBy: record, lost: [{ port, before: lost, after: listed.after }], edit })
  }
  const former = listed.before.filter((endpoint) => came.some((one) => endpointKey(one) === endpointKey(endpoint)))
  if (former.length > 0) return { type: former.every(({ ready }) => ready) ? 'hints' : 'ready' }
  if (edit !== undefined) return { type: 'service-edit', edit }
  if (!isKeptByController(record)) return { type: 'slice-edit' }
  return { type: came.length > 0 ? 'pods-came' : 'hints' }
}

const reached = ({ endpoints }: PacketFate): ReadonlySet<string> => new Set(endpoints.map(endpointKey))

/** Where a packet is sent to. */
export type PacketTarget = Pick<AddressedPacket, 'family' | 'protocol' | 'destination' | 'destinationPort'>

/**
 * Whether a service port can have a say in a packet's fate, or in the reason for it: it has the packet's address, on whatever
 * port; a node port with the packet's port, on whatever address, which may be a node's at one time and not at another; or its
 * health check answers there.
 */
export function touchesPacket(
  servicePort: ServicePort,
  { family, protocol, destination: address, destinationPort: port }: PacketTarget,
): boolean {
  if (servicePort.family !== family) return false
  if (servicePort.healthCheckNodePort === port && protocol === 'TCP') return true
  if (servicePort.loadBalancerProxyIPs.includes(address)) return true
  return frontsOf(servicePort).some((front) =>
    front.address === undefined ? front.protocol === protocol && front.port === port : front.address === address,
  )
}

export interface Broken {
  /** The latest record after which the packet was no longer as it should be. */
  readonly broken?: FateFlip
  /** The first record since after which it was again what it had been; absent while it lasts. */
  readonly mended?: FateFlip
}

export interface BreakQuestion {
  /** Equal for fates that are not told apart. */
  readonly keyOf: (fate: PacketFate) => string
  /** How it should be; absent: it reaches endpoints. */
  readonly good?: PacketFate
}

/** Which of the flips is the answer to "what broke it". */
export function findBreak(flips: ReturnType<FateHistory['flips']>, { keyOf, good }: BreakQuestion): Broken {
  const isGood = (fate: PacketFate): boolean =>
    good === undefined ? fate.verdict === 'endpoints' : keyOf(fate) === keyOf(good)
  const broken = flips.findLast(({ before }) => isGood(before))
  if (broken === undefined) return {}
  const wanted = keyOf(broken.before)
  const mended = flips.slice(flips.indexOf(broken) + 1).find(({ after }) => keyOf(after) === wanted)
  return { broken, ...(mended && { mended }) }
}
