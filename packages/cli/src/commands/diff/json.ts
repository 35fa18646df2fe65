import { endpointCondition, type IpFamily, type PortDifference, type RuleDifference, type State } from '@pointsman/core'
import { formatTimeIfKnown, pointJson } from '../../output/json.js'
import { authorItem } from '../log/json.js'
import { ruleItem } from '../rules/json.js'
import { type Differences, type DiffSide, usedCount } from './answer.js'
import type { DiffJson, EndpointDifferenceJson, PortDifferenceJson, RuleDifferenceJson } from './schema.js'

/** The Diff document of `docs/json.md`. */
export function diffDocument(differences: Differences, family: IpFamily): DiffJson {
  const { from, to, objects, ports, chains, lastChanges } = differences
  return {
    kind: 'Diff',
    at: pointJson(to.point),
    from: pointJson(from.point),
    node: to.state.node?.name,
    family,
    layout: to.config.layout,
    objects: objects.map((object): DiffJson['objects'][number] => {
      const { event, kind, namespace, name, recreated, changes } = object
      const last = lastChanges.get(object)
      return {
        event,
        kind,
        namespace: namespace || undefined,
        name,
        recreated: recreated || undefined,
        changes,
        seq: last?.seq,
        time: formatTimeIfKnown(last?.observedAt),
        author: last?.author && authorItem(last.author),
      }
    }),
    endpoints: ports.map((port) => portItem(port, differences)),
    rules: chains.flatMap(({ rules }) => rules.map((rule) => ruleDifferenceItem(rule, differences))),
  }
}

function portItem(difference: PortDifference, { from, to }: Pick<Differences, 'from' | 'to'>): PortDifferenceJson {
  const { event, port, endpoints } = difference
  return {
    event,
    service: port.service,
    portName: port.portName || undefined,
    protocol: port.protocol,
    usedBefore: usedCount(from, difference, 'before'),
    usedAfter: usedCount(to, difference, 'after'),
    endpoints: endpoints.flatMap(endpointItems),
  }
}

function endpointItems({ before, after }: PortDifference['endpoints'][number]): readonly EndpointDifferenceJson[] {
  const endpoint = after ?? before
  if (endpoint === undefined) return []
  return [
    {
      event: before === undefined ? 'ADDED' : after === undefined ? 'DELETED' : 'MODIFIED',
      address: endpoint.address,
      port: endpoint.port,
      pod: endpoint.pod,
      nodeName: endpoint.nodeName,
      before: before && endpointCondition(before),
      after: after && endpointCondition(after),
    },
  ]
}

function ruleDifferenceItem(
  difference: RuleDifference,
  { from, to }: Pick<Differences, 'from' | 'to'>,
): RuleDifferenceJson {
  const { item, type } = difference
  const port = item.owner && (portIn(to, item.owner) ?? portIn(from, item.owner))
  return {
    event: EVENTS[type],
    ...ruleItem(item, port),
    oddsBefore: type === 'odds' ? (difference.before ?? 1) : undefined,
    oddsAfter: type === 'odds' ? (difference.after ?? 1) : undefined,
  }
}

const EVENTS = { added: 'ADDED', removed: 'DELETED', odds: 'ODDS' } as const

const portIn = (
  { state }: DiffSide,
  id: Parameters<State['services']['get']>[0],
): ReturnType<State['services']['get']> => state.services.get(id)
