import {
  assertNever,
  type Author,
  buildState,
  type ChangeLogReader,
  endpointKey,
  isFlap,
  isOpen,
  type ObjectRecord,
  type Outage,
  type ProxyConfig,
  type ReplaySummary,
  type Route,
  type Seq,
  type ServicePort,
} from '@pointsman/core'
import { createMockBackend } from '../../dataplanes.js'
import type { Style } from '../../output/terminal.js'
import { formatCount, formatDuration } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { type Column, renderTable } from '../../output/table.js'
import type { ImportTally } from '../import/import-recording.js'
import { objectName } from '../log/text.js'
import { portTitle, type ServiceRow, serviceRows } from '../services/answer.js'

export interface Demo {
  readonly tally: ImportTally
  readonly replayed: Pick<ReplaySummary, 'syncs' | 'failures' | 'state'>
  /** The most important first; empty: nothing broke. */
  readonly outages: readonly Outage[]
  /** Of the first outage: before its cause, and when the endpoints had gone. */
  readonly moments?: { readonly before: Moment; readonly after: Moment }
  /** Commands to go on with. */
  readonly next: readonly string[]
}

/** The story, conclusion first. */
export function demoText(demo: Demo, style: Style): readonly string[] {
  const [outage, ...others] = demo.outages
  const story = outage === undefined ? nothingBroke(demo, style) : incident({ ...demo, outage, others }, style)
  const next = demo.next.map((command, index) => `${style.dim(index === 0 ? 'Next steps' : '          ')}  ${command}`)
  return [...story, '', ...next]
}

function nothingBroke({ replayed, tally }: Demo, style: Style): readonly string[] {
  const count = formatCount(replayed.state.services.size)
  return [
    style.bold('No service lost its endpoints'),
    '',
    style.dim(counted(tally)),
    style.dim(`${count} service ports at the end`),
  ]
}

interface Incident extends Demo {
  readonly outage: Outage
  readonly others: readonly Outage[]
}

function incident({ tally, replayed, outage, others, moments }: Incident, style: Style): readonly string[] {
  const day = formatTime(outage.emptiedBy.observedAt).slice(0, 10)
  const repair = repairLine(outage)
  const also = otherLines(others)
  return [
    style.bold(style.red(headline(outage))),
    '',
    emptyingLine(outage),
    ...(repair === undefined ? [] : [repair]),
    ...(moments === undefined ? [] : tables({ outage, moments }, style)),
    '',
    ...also.slice(0, MOST_OTHERS).map((line) => style.dim(`Also: ${line}`)),
    ...(also.length > MOST_OTHERS ? [style.dim(`and ${also.length - MOST_OTHERS} more services`)] : []),
    style.dim(`${counted(tally)}, times of ${day} in UTC`),
    style.dim(replayedLine(replayed)),
  ]
}

const MOST_OTHERS = 3

function tables(
  { outage, moments }: { readonly outage: Outage; readonly moments: NonNullable<Demo['moments']> },
  style: Style,
): readonly string[] {
  const part = (title: string, moment: Moment): readonly string[] => {
    const route = routeLine(moment, style)
    return [
      '',
      `${style.bold(title)}${style.dim(`, at seq ${moment.seq}`)}`,
      ...momentTable({ moment, service: outage.service, style }),
      ...(route === undefined ? [] : [`  ${route}`]),
    ]
  }
  return [...part('Before', moments.before), ...part('After', moments.after)]
}

function counted({ events, kinds, firstAt, lastAt, estimated }: ImportTally): string {
  const span = firstAt === undefined || lastAt === undefined ? '' : ` in ${formatDuration(lastAt - firstAt)}`
  // The bundled recording has no ServiceCIDRs.
  const { ServiceCIDR: _cidrs, ...recorded } = kinds
  const counts = Object.entries(recorded).map(([kind, count]) => `${formatCount(count)} of ${kind}s`)
  // kubectl writes no times, and what stands in for them may be far off.
  const guessed = estimated === 0 ? '' : `, ${formatCount(estimated)} with estimated times`
  return `${formatCount(events)} watch events${span}: ${counts.join(', ')}${guessed}`
}

function replayedLine({ syncs, failures, state }: Demo['replayed']): string {
  const failed = failures === 0 ? '' : `, ${formatCount(failures)} failed`
  return `Replayed to the mock backend: ${formatCount(syncs)} syncs${failed}, ${formatCount(state.services.size)} service ports in force at the end`
}

interface MomentQuestion {
  readonly reader: ChangeLogReader
  readonly seq: Seq
  readonly config: ProxyConfig
  readonly outage: Pick<Outage, 'service' | 'ports'>
}

/** The services at a moment of the incident, and what becomes of a packet to the broken one. */
interface Moment {
  readonly seq: Seq
  readonly rows: readonly ServiceRow[]
  /** The broken service port, and where the backend sends a packet of the node's own to it. */
  readonly port?: ServicePort
  readonly route?: Route
}

export async function momentAt({ reader, seq, config, outage }: MomentQuestion): Promise<Moment> {
  const { objects } = reader.objectsAt(seq)
  const built = buildState({ objects, seq, nodeName: config.nodeName })
  const { state } = built
  const rows = serviceRows({ objects, built, node: state.node }).rows.filter(({ port }) =>
    port.service.startsWith(`${namespaceOf(outage)}/`),
  )
  const port = [...state.services.values()].find(
    (one) => one.service === outage.service && one.portName === outage.ports[0],
  )
  if (port === undefined) return { seq, rows }
  const backend = createMockBackend({ config })
  await backend.sync({ state, changed: 'all', fromSeq: seq, toSeq: seq }, new AbortController().signal)
  const route = backend.route({ from: 'node', to: port.clusterIP, port: port.port, protocol: port.protocol })
  await backend.close()
  return { seq, rows, port, route }
}

const namespaceOf = ({ service }: Pick<Outage, 'service'>): string => service.slice(0, service.indexOf('/'))

/** A table is a glance: the broken service with some neighbours. */
const MOST_ROWS = 6

interface TableQuestion {
  readonly moment: Moment
  readonly service: string
  readonly style: Style
}

/** A small table of the namespace's services, the one that broke among them; what was left out is counted. */
function momentTable({ moment: { rows }, service, style }: TableQuestion): readonly string[] {
  const shown = neighbours(rows, service)
  const columns: readonly Column<ServiceRow>[] = [
    {
      title: 'SERVICE',
      cell: ({ port }) => (port.service === service ? style.bold(portTitle(port)) : portTitle(port)),
    },
    {
      title: 'ADDRESS',
      cell: ({ port }) => `${endpointKey({ address: port.clusterIP, port: port.port })}/${port.protocol}`,
    },
    { title: 'ENDPOINTS', cell: (row) => endpointsCell(row, style) },
  ]
  const left = rows.length - shown.length
  const more = left === 0 ? [] : [style.dim(`  and ${left} more of the namespace`)]
  return [...renderTable(columns, shown, { indent: '  ', title: style.dim }), ...more]
}

/** The rows around the service's own, in the table's order: the same ones whatever their endpoints are. */
function neighbours(rows: readonly ServiceRow[], service: string): readonly ServiceRow[] {
  const first = Math.max(
    0,
    rows.findIndex(({ port }) => port.service === service),
  )
  const start = Math.max(0, Math.min(first - Math.floor(MOST_ROWS / 2) + 1, rows.length - MOST_ROWS))
  return rows.slice(start, start + MOST_ROWS)
}

function endpointsCell({ ready, fallback, endpoints }: ServiceRow, style: Style): string {
  if (ready + fallback === 0) return style.red(endpoints.length === 0 ? 'none' : `none of ${endpoints.length} ready`)
  const addresses = endpoints
    .filter(({ endpoint }) => endpoint.ready || fallback > 0)
    .map(({ endpoint }) => endpointKey(endpoint))
  return addresses.length <= 3
    ? addresses.join(' ')
    : `${addresses.slice(0, 3).join(' ')} and ${addresses.length - 3} more`
}

/** `a packet to 10.96.50.2:80 reaches 10.244.1.14:8080 or 10.244.3.16:8080`. */
function routeLine({ port, route }: Moment, style: Style): string | undefined {
  if (port === undefined || route === undefined) return undefined
  const packet = `a packet to ${endpointKey({ address: port.clusterIP, port: port.port })}`
  if (route.verdict !== 'endpoints') return style.red(`${packet} is ${route.verdict}: ${route.reason}`)
  const targets = route.endpoints.map((endpoint) => endpointKey(endpoint))
  const listed = targets.length <= 3 ? targets.join(' or ') : `one of ${targets.length} endpoints`
  return style.green(`${packet} reaches ${listed}`)
}

/** The conclusion: `shop/checkout had no endpoints for 6.3 s`. */
function headline(outage: Outage): string {
  const { service, durationMs } = outage
  if (isOpen(outage))
    return `${service} has had no endpoints for ${formatDuration(durationMs)}, up to the end of the recording`
  return `${service} had no endpoints for ${formatDuration(durationMs)}`
}

/** One line: the time, the slice that emptied, the edit behind it and who made that. */
function emptyingLine(outage: Outage): string {
  const { emptiedBy, endpointsBefore, cause } = outage
  const endpoints = endpointsBefore === 1 ? 'its last endpoint' : `its last ${endpointsBefore} endpoints`
  const what = `${objectName(emptiedBy)} lost ${endpoints}`
  return `${timeOfDay(emptiedBy)}  ${what}${causeClause(cause, emptiedBy)}`
}

function causeClause(cause: Outage['cause'], emptiedBy: ObjectRecord): string {
  switch (cause.type) {
    case 'service-edit': {
      const { record, changes } = cause.edit
      const gap = emptiedBy.observedAt - record.observedAt
      // Watches of two kinds are not ordered against each other.
      const after = gap > 0 ? `${formatDuration(gap)} after` : 'when'
      return `, ${after} ${nameOf(record.author)} changed ${objectName(record)}: ${changes.join('; ')}`
    }
    case 'slice-edit':
      return `: ${nameOf(emptiedBy.author)} edited the EndpointSlice itself`
    case 'pods-gone':
      return ': the pods were removed, and the Service was not edited'
    case 'not-ready':
      return ': the pods are not ready, and the Service was not edited'
    case 'port-gone':
      return ': the pods do not have the port, and the Service was not edited'
    default:
      return assertNever(cause)
  }
}

/** How it ended; undefined while it lasts. */
function repairLine({ repair, deletedBy, emptiedBy }: Outage): string | undefined {
  if (deletedBy !== undefined) return `${timeOfDay(deletedBy)}  ${objectName(deletedBy)} was deleted`
  if (repair === undefined) return undefined
  const { record, edit } = repair
  if (edit === undefined) return `${timeOfDay(record)}  ${objectName(record)} had endpoints again`
  const later = formatDuration(edit.record.observedAt - emptiedBy.observedAt)
  return `${timeOfDay(edit.record)}  ${nameOf(edit.record.author)} fixed it ${later} later: ${edit.changes.join('; ')}`
}

/** What else lost its endpoints, a line a Service: `shop/auth 5 times (flapping), for 1.3 s in all`. */
function otherLines(outages: readonly Outage[]): readonly string[] {
  const byService = new Map<string, Outage[]>()
  for (const outage of outages) byService.set(outage.service, [...(byService.get(outage.service) ?? []), outage])
  return [...byService].map(([service, all]) => {
    const total = formatDuration(all.reduce((sum, { durationMs }) => sum + durationMs, 0))
    const often = all.length === 1 ? 'once' : `${all.length} times`
    return `${service} ${often}${all.some(isFlap) ? ' (flapping)' : ''}, for ${total}${all.length === 1 ? '' : ' in all'}`
  })
}

const nameOf = (author: Author | undefined): string => author?.manager ?? 'an unknown author'

/** `02:24:44.181`: the day is said once, above. */
const timeOfDay = ({ observedAt }: ObjectRecord): string => formatTime(observedAt).slice(11, 23)
