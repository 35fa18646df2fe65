import {
  type Endpoint,
  endpointCondition,
  type IpFamily,
  type PortDifference,
  type RuleDifference,
  type State,
} from '@pointsman/core'
import { type Document, formatTime, pointOf } from '../../output/json.js'
import { authorItem } from '../log/json.js'
import { ruleItem } from '../rules/json.js'
import { type Differences, type DiffSide, usedCount } from './answer.js'

/** The Diff document of `docs/json.md`. */
export function diffDocument(differences: Differences, family: IpFamily): Document {
  const { from, to, objects, ports, chains, lastChanges } = differences
  return {
    kind: 'Diff',
    ...pointOf(to),
    from: pointOf(from).at,
    ...(to.state.node && { node: to.state.node.name }),
    family,
    layout: 'current',
    objects: objects.map((object) => {
      const { event, kind, namespace, name, recreated, changes } = object
      const last = lastChanges.get(object)
      return {
        event,
        kind,
        ...(namespace !== '' && { namespace }),
        name,
        ...(recreated && { recreated }),
        changes,
        ...(last && { seq: last.seq, time: formatTime(last.observedAt) }),
        ...(last?.author && { author: authorItem(last.author) }),
      }
    }),
    endpoints: ports.map((port) => portItem(port, differences)),
    rules: chains.flatMap(({ rules }) => rules.map((rule) => ruleDifferenceItem(rule, differences))),
  }
}

function portItem(difference: PortDifference, { from, to }: Pick<Differences, 'from' | 'to'>): object {
  const { event, port, endpoints } = difference
  return {
    event,
    service: port.service,
    ...(port.portName !== '' && { portName: port.portName }),
    protocol: port.protocol,
    usedBefore: usedCount(from, difference, 'before'),
    usedAfter: usedCount(to, difference, 'after'),
    endpoints: endpoints.map(({ before, after }) => ({
      event: before === undefined ? 'ADDED' : after === undefined ? 'DELETED' : 'MODIFIED',
      ...placeOf(after ?? before),
      ...(before && { before: endpointCondition(before) }),
      ...(after && { after: endpointCondition(after) }),
    })),
  }
}

function placeOf(endpoint: Endpoint | undefined): object {
  if (endpoint === undefined) return {}
  const { address, port, pod, nodeName } = endpoint
  return { address, port, ...(pod !== undefined && { pod }), ...(nodeName !== undefined && { nodeName }) }
}

function ruleDifferenceItem(difference: RuleDifference, { from, to }: Pick<Differences, 'from' | 'to'>): object {
  const { item, type } = difference
  const port = item.owner && (portIn(to, item.owner) ?? portIn(from, item.owner))
  return {
    event: EVENTS[type],
    ...ruleItem(item, port),
    ...(type === 'odds' && {
      oddsBefore: difference.before ?? 1,
      oddsAfter: difference.after ?? 1,
    }),
  }
}

const EVENTS = { added: 'ADDED', removed: 'DELETED', odds: 'ODDS' } as const

const portIn = (
  { state }: DiffSide,
  id: Parameters<State['services']['get']>[0],
): ReturnType<State['services']['get']> => state.services.get(id)
