import {
  endpointKey,
  selectEndpoints,
  shortList,
  usesClusterEndpoints,
  usesLocalEndpoints,
  type Endpoint,
  type NodeInfo,
  type ServicePort,
  type State,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { describeAsked, type AskedObjects } from '../../input/open-input.js'
import { countOf } from '../../output/format-text.js'
import { pointOf } from '../../output/json.js'
import { renderTable } from '../../output/table.js'
import type { Style } from '../../output/terminal.js'
import { portTitle, type ServiceRow } from './answer.js'
import type { ServicesOfNodesJson } from './schema.js'

/** Which Nodes serve each service port, and with which endpoints. */
export interface ServicesOfNodes {
  readonly question: AskedObjects
  /** Sorted. */
  readonly nodes: readonly string[]
  readonly rows: readonly PortOnNodes[]
}

interface PortOnNodes {
  readonly row: ServiceRow
  /** Nodes that use the same endpoints; those that use none first. */
  readonly groups: readonly EndpointGroup[]
}

interface EndpointGroup {
  readonly nodes: readonly string[]
  /** For traffic that may leave the node, and for traffic of policy Local; absent where the port has none of the kind. */
  readonly cluster?: readonly Endpoint[]
  readonly local?: readonly Endpoint[]
}

/**
 * What each Node makes of service ports. Nodes of one zone that are named by no endpoint are alike, so that one of them is asked for
 * all. CliError BAD_INPUT where there is no Node.
 */
export function servicesOfNodes(
  rows: readonly ServiceRow[],
  { state, question }: { readonly state: State; readonly question: AskedObjects },
): ServicesOfNodes {
  const all = [...state.nodes.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  if (all.length === 0) throw new CliError('BAD_INPUT', '--node all: the input has no Node')
  const zones = new Map<string, NodeInfo[]>()
  for (const node of all) zones.set(node.zone, [...(zones.get(node.zone) ?? []), node])
  return {
    question,
    nodes: all.map(({ name }) => name),
    rows: rows.map((row) => ({ row, groups: groupsOf(row.port, state.endpoints.get(row.port.id) ?? [], zones) })),
  }
}

function groupsOf(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  zones: ReadonlyMap<string, readonly NodeInfo[]>,
): readonly EndpointGroup[] {
  const named = new Set(
    endpoints.flatMap(({ nodeName, nodeHints = [] }) => [...(nodeName === undefined ? [] : [nodeName]), ...nodeHints]),
  )
  const groups = new Map<string, EndpointGroup & { nodes: string[] }>()
  for (const nodes of zones.values()) {
    let alike: (EndpointGroup & { nodes: string[] }) | undefined
    for (const node of nodes) {
      if (alike !== undefined && !named.has(node.name)) {
        alike.nodes.push(node.name)
        continue
      }
      const { cluster, local } = selectEndpoints({ port, endpoints, node })
      const key = JSON.stringify([cluster, local].map((list) => list.map(endpointKey)))
      const group = groups.get(key) ?? { nodes: [], ...usedBy(port, { cluster, local }) }
      groups.set(key, group)
      group.nodes.push(node.name)
      if (!named.has(node.name)) alike = group
    }
  }
  return [...groups.values()]
    .map((group) => ({ ...group, nodes: group.nodes.toSorted() }))
    .toSorted((a, b) => countUsed(a) - countUsed(b) || a.nodes.length - b.nodes.length)
}

const usedBy = (
  port: ServicePort,
  { cluster, local }: { readonly cluster: readonly Endpoint[]; readonly local: readonly Endpoint[] },
): Pick<EndpointGroup, 'cluster' | 'local'> => ({
  ...(usesClusterEndpoints(port) && { cluster }),
  ...(usesLocalEndpoints(port) && { local }),
})

const countUsed = ({ cluster, local }: EndpointGroup): number =>
  Math.min(cluster?.length ?? Number.POSITIVE_INFINITY, local?.length ?? Number.POSITIVE_INFINITY)

/** The table of service ports with the nodes that serve them. */
export function servicesOfNodesText({ question, nodes, rows }: ServicesOfNodes, style: Style): readonly string[] {
  const columns = [
    { title: 'SERVICE', cell: ({ row }: PortOnNodes) => portTitle(row.port) },
    { title: 'PROTO', cell: ({ row }: PortOnNodes) => row.port.protocol },
    {
      title: 'CLUSTER-IP',
      cell: ({ row: { port } }: PortOnNodes) => endpointKey({ address: port.clusterIP, port: port.port }),
    },
    { title: 'ENDPOINTS', cell: ({ row }: PortOnNodes) => `${row.ready}/${row.endpoints.length}` },
    { title: 'SERVED BY', cell: (row: PortOnNodes) => servedText(row, { count: nodes.length, style }) },
  ]
  return [
    style.dim(`${describeAsked(question)}, ${countOf(nodes.length, 'node')}`),
    ...(rows.length === 0 ? ['no services'] : renderTable(columns, rows, { title: style.bold })),
  ]
}

function servedText(
  { groups }: PortOnNodes,
  { count, style }: { readonly count: number; readonly style: Style },
): string {
  const served = (kind: 'cluster' | 'local'): string | undefined => {
    if (groups.every((group) => group[kind] === undefined)) return undefined
    const serving = groups.filter((group) => (group[kind]?.length ?? 0) > 0)
    const names = serving.flatMap((group) => group.nodes).toSorted()
    const ways = new Set(serving.map((group) => JSON.stringify(group[kind]?.map(endpointKey)))).size
    if (names.length === 0) return style.red('no node')
    const differ = ways > 1 ? `, with ${ways} sets of endpoints` : ''
    if (names.length === count) return `all nodes${differ}`
    const others = groups
      .filter((group) => (group[kind]?.length ?? 0) === 0)
      .flatMap((group) => group.nodes)
      .toSorted()
    const text =
      others.length < names.length
        ? `all nodes but ${shortList(others, MOST_NODES)}${differ}`
        : `${countOf(names.length, 'node')}: ${shortList(names, MOST_NODES)}${differ}`
    return style.yellow(text)
  }
  const [cluster, local] = [served('cluster'), served('local')]
  if (local === undefined) return cluster ?? ''
  return cluster === undefined ? `Local: ${local}` : `${cluster}; Local: ${local}`
}

const MOST_NODES = 3

export function servicesOfNodesDocument({ question, nodes, rows }: ServicesOfNodes): ServicesOfNodesJson {
  return {
    kind: 'ServicesOfNodes',
    at: pointOf(question),
    nodeCount: nodes.length,
    items: rows.map(({ row: { port, ready, endpoints }, groups }) => ({
      namespace: port.namespace,
      name: port.name,
      portName: port.portName || undefined,
      protocol: port.protocol,
      family: port.family,
      clusterIP: port.clusterIP,
      port: port.port,
      readyEndpoints: ready,
      totalEndpoints: endpoints.length,
      groups: groups.map((group) => ({
        nodes: group.nodes,
        clusterEndpoints: group.cluster?.map(endpointKey),
        localEndpoints: group.local?.map(endpointKey),
      })),
    })),
  }
}
