import { createMockBackend } from '@pointsman/backend-mock'
import {
  buildState,
  endpointKey,
  type Route,
  type ChangeLogReader,
  type Outage,
  type ProxyConfig,
  type Seq,
  type ServicePort,
} from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { type Column, renderTable } from '../output/table.js'
import { portTitle, type ServiceRow, serviceRows } from '../services/service-rows.js'

export interface MomentQuestion {
  readonly reader: ChangeLogReader
  readonly seq: Seq
  readonly config: ProxyConfig
  readonly outage: Pick<Outage, 'service' | 'ports'>
}

/** The services at a moment of the incident, and what becomes of a packet to the broken one. */
export interface Moment {
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

export interface TableQuestion {
  readonly moment: Moment
  readonly service: string
  readonly style: Style
}

/** A small table of the namespace's services, the one that broke among them; what was left out is counted. */
export function momentTable({ moment: { rows }, service, style }: TableQuestion): readonly string[] {
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
export function routeLine({ port, route }: Moment, style: Style): string | undefined {
  if (port === undefined || route === undefined) return undefined
  const packet = `a packet to ${endpointKey({ address: port.clusterIP, port: port.port })}`
  if (route.verdict !== 'endpoints') return style.red(`${packet} is ${route.verdict}: ${route.reason}`)
  const targets = route.endpoints.map((endpoint) => endpointKey(endpoint))
  const listed = targets.length <= 3 ? targets.join(' or ') : `one of ${targets.length} endpoints`
  return style.green(`${packet} reaches ${listed}`)
}
