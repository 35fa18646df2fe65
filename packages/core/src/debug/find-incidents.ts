import { serviceName, type ServiceName, type ServicePortName } from '../model/names.js'
import type { LogRecord, ObjectRecord } from '../model/record.js'
import { servicePortsOf } from '../model/service-ports.js'
import { endpointsOfSlice, type SliceEndpoints } from '../model/slice-endpoints.js'
import {
  causeOf,
  compareOutages,
  type LostPort,
  lostPorts,
  type Outage,
  type ServiceEdit,
  usableByPort,
  type WatchedService,
} from './outage.js'
import { isBehind, serviceEditOf } from './service-edits.js'

/**
 * Every time in which a Service lost all usable endpoints of a port, the one that matters most first (`compareOutages`).
 * Takes the records of a log in order, from its beginning. A Service that never had endpoints, or that was deleted, is
 * no outage.
 */
export function findIncidents(records: Iterable<LogRecord>): readonly Outage[] {
  const finder = new IncidentFinder()
  for (const record of records) finder.add(record)
  return finder.outages()
}

/** An outage that lasts, with what has to be known to see its end. */
interface OpenOutage {
  readonly emptiedBy: ObjectRecord
  readonly previousSlice: ObjectRecord | undefined
  readonly lost: readonly LostPort[]
  /** Ports that are still without endpoints. */
  readonly without: ReadonlySet<ServicePortName>
  readonly edit: ServiceEdit | undefined
}

type Ended = Pick<Outage, 'repair' | 'deletedBy'>
type Draft = Omit<Outage, 'occurrences' | 'durationMs'>

class IncidentFinder {
  readonly #services = new Map<ServiceName, WatchedService>()
  readonly #serviceOfSlice = new Map<string, ServiceName>()
  readonly #open = new Map<ServiceName, OpenOutage>()
  readonly #closed: Draft[] = []
  #lastAt = 0

  add(record: LogRecord): void {
    this.#lastAt = record.observedAt
    if (record.type !== 'object') return
    if (record.kind === 'Service') this.#addService(record)
    if (record.kind === 'EndpointSlice') this.#addSlice(record)
  }

  outages(): readonly Outage[] {
    const drafts = [...this.#closed, ...[...this.#open].map(([service, open]) => draft(service, open, {}))]
    const occurrences = new Map<ServiceName, number>()
    for (const { service } of drafts) occurrences.set(service, (occurrences.get(service) ?? 0) + 1)
    return drafts
      .map((outage) => ({
        ...outage,
        durationMs: endOf(outage, this.#lastAt) - outage.emptiedBy.observedAt,
        occurrences: occurrences.get(outage.service) ?? 1,
      }))
      .sort(compareOutages)
  }

  #addService(record: ObjectRecord): void {
    const name = serviceName(record.namespace, record.name)
    const watched = this.#watched(name)
    const edit = serviceEditOf(record, watched.object)
    if (record.event === 'DELETED') {
      this.#services.set(name, { ...watched, object: record.object, ports: [], usable: new Map() })
      this.#endByDeletion(name, record)
      return
    }
    const edits = edit === undefined ? watched.edits : [...watched.edits.slice(-MOST_EDITS), edit]
    const ports = servicePortsOf(record.object).ports
    this.#judge(name, { ...watched, object: record.object, ports, edits }, { record, previous: undefined })
    this.#blameLater(name, edit)
  }

  #addSlice(record: ObjectRecord): void {
    const key = `${record.namespace}/${record.name}`
    const former = this.#serviceOfSlice.get(key)
    const gathered = record.event === 'DELETED' ? undefined : endpointsOfSlice(record.object)
    const owned = gathered?.service === undefined ? undefined : gathered
    const previous = former === undefined ? undefined : this.#watched(former).slices.get(key)?.record
    if (former !== undefined && former !== owned?.service)
      this.#replaceSlice(former, key, { record, previous }, undefined)
    if (owned === undefined) this.#serviceOfSlice.delete(key)
    else {
      this.#serviceOfSlice.set(key, owned.service)
      this.#replaceSlice(owned.service, key, { record, previous }, owned)
    }
  }

  #replaceSlice(service: ServiceName, key: string, change: SliceChange, gathered: SliceEndpoints | undefined): void {
    const watched = this.#watched(service)
    const slices = new Map(watched.slices)
    if (gathered === undefined) slices.delete(key)
    else slices.set(key, { record: change.record, gathered })
    this.#judge(service, { ...watched, slices }, change)
  }

  /** Looks at what a change did to the endpoints of a Service, and opens or ends its outage. */
  #judge(name: ServiceName, changed: WatchedService, { record, previous }: SliceChange): void {
    const before = this.#watched(name)
    const after: WatchedService = { ...changed, usable: usableByPort(changed) }
    this.#services.set(name, after)
    const open = this.#open.get(name)
    const lost = record.kind === 'EndpointSlice' ? lostPorts(before, after) : []
    if (open === undefined) {
      if (lost.length === 0) return
      const edit = [...after.edits].reverse().find((one) => isBehind(one.record, { before: previous, after: record }))
      const without = new Set(lost.map(({ port }) => port.id))
      this.#open.set(name, { emptiedBy: record, previousSlice: previous, lost, without, edit })
      return
    }
    const gone = [...open.without, ...lost.map(({ port }) => port.id)]
    const without = new Set(gone.filter((id) => after.usable.get(id)?.length === 0))
    if (without.size > 0) this.#open.set(name, { ...open, lost: [...open.lost, ...lost], without })
    else this.#end(name, open, { repair: repairOf(record, previous, after) })
  }

  /** An edit that was seen after the slice that it emptied. */
  #blameLater(name: ServiceName, edit: ServiceEdit | undefined): void {
    const open = this.#open.get(name)
    if (edit === undefined || open === undefined || open.edit !== undefined) return
    const isCause = isBehind(edit.record, { before: open.previousSlice, after: open.emptiedBy })
    if (isCause) this.#open.set(name, { ...open, edit })
  }

  #endByDeletion(name: ServiceName, record: ObjectRecord): void {
    const open = this.#open.get(name)
    if (open === undefined) return
    // The slices of a deleted Service may be seen to go before the Service itself.
    if (open.emptiedBy.event === 'DELETED') this.#open.delete(name)
    else this.#end(name, open, { deletedBy: record })
  }

  #end(name: ServiceName, open: OpenOutage, ended: Ended): void {
    this.#open.delete(name)
    this.#closed.push(draft(name, open, ended))
  }

  #watched(name: ServiceName): WatchedService {
    return this.#services.get(name) ?? UNSEEN
  }
}

interface SliceChange {
  readonly record: ObjectRecord
  /** The slice's version before; absent for a Service's change, and for a slice that is new. */
  readonly previous: ObjectRecord | undefined
}

const UNSEEN: WatchedService = { object: undefined, ports: [], slices: new Map(), usable: new Map(), edits: [] }

/** Of a Service that is edited without end only the latest edits are remembered. */
const MOST_EDITS = 20

function draft(service: ServiceName, open: OpenOutage, ended: Ended): Draft {
  const [first] = open.lost
  return {
    service,
    ports: [...new Set(open.lost.map(({ port }) => port.portName))].sort(),
    emptiedBy: open.emptiedBy,
    endpointsBefore: first?.before.length ?? 0,
    cause: causeOf({ emptiedBy: open.emptiedBy, lost: open.lost, edit: open.edit }),
    ...ended,
  }
}

function repairOf(
  record: ObjectRecord,
  previous: ObjectRecord | undefined,
  after: WatchedService,
): Outage['repair'] & object {
  const edit = [...after.edits].reverse().find((one) => isBehind(one.record, { before: previous, after: record }))
  return { record, ...(edit === undefined ? {} : { edit }) }
}

const endOf = ({ repair, deletedBy }: Draft, lastAt: number): number =>
  (repair?.record ?? deletedBy)?.observedAt ?? lastAt
