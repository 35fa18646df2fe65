import {
  buildState,
  type ChainDifference,
  type ChangeLogReader,
  configOfRecord,
  type Dataplane,
  diffEndpoints,
  diffObjects,
  diffRules,
  type KubernetesObject,
  nodeWithoutObject,
  type ObjectDifference,
  type ObjectRecord,
  type PlanOptions,
  type PortDifference,
  type RulesAt,
  selectEndpoints,
  seq,
  type Seq,
  type State,
} from '@pointsman/core'
import type { Context } from '../../context.js'
import { objectsAtPoint, type Input } from '../../input/open-input.js'
import { type ResolvedPoint, resolvePoint } from '../../input/point-in-time.js'
import { givesConfig } from '../../input/proxy-config.js'
import { rulesQuestion, type RulesQuestionOptions, withLayout } from '../../input/rules-question.js'

/** What there was at one of the two points. */
export interface DiffSide extends RulesAt {
  readonly state: State
  readonly point: ResolvedPoint
  readonly objects: readonly KubernetesObject[]
}

interface DiffQuestion {
  readonly reader: ChangeLogReader
  readonly from: DiffSide
  readonly to: DiffSide
}

interface DiffPoints {
  readonly from: string
  /** Absent: the last record. */
  readonly to: string | undefined
}

/**
 * Both points, as the node sees them that the second one tells of. Each has the configuration that was in force then,
 * unless the command line gives one. CliError as for any point and any question about rules.
 */
export async function diffQuestion(
  input: Extract<Input, { type: 'log' }>,
  points: DiffPoints,
  { options, context }: { readonly options: RulesQuestionOptions; readonly context: Context },
): Promise<DiffQuestion> {
  const { reader } = input
  const from = resolvePoint({ reader, text: points.from.trim(), option: 'diff' })
  const to = resolvePoint({ reader, text: points.to?.trim(), option: 'diff' })
  const asked = objectsAtPoint(reader, to)
  const { state, config } = await rulesQuestion(asked, options, context)
  const before = objectsAtPoint(reader, from)
  const logged = givesConfig(options) ? undefined : before.logged
  const earlier = logged === undefined ? config : withLayout(options, configOfRecord(logged), context)
  return {
    reader,
    from: {
      point: from,
      objects: before.objects,
      state: stateOf(before.objects, config.nodeName),
      config: earlier,
    },
    to: { point: to, objects: asked.objects, state, config },
  }
}

function stateOf(objects: readonly KubernetesObject[], nodeName: string | undefined): State {
  const { node: _, ...state } = buildState({ objects }).state
  const node = nodeName === undefined ? undefined : (state.nodes.get(nodeName) ?? nodeWithoutObject(nodeName))
  return { ...state, ...(node && { node }) }
}

/** All that differs between two points: what people changed, what that did to endpoints, and to rules. */
export interface Differences {
  readonly from: DiffSide
  readonly to: DiffSide
  readonly objects: readonly ObjectDifference[]
  /** The last record between the points of each object; absent for all where there are very many. */
  readonly lastChanges: ReadonlyMap<ObjectDifference, ObjectRecord>
  readonly ports: readonly PortDifference[]
  readonly chains: readonly ChainDifference[]
}

export function findDifferences(
  { reader, from, to }: DiffQuestion,
  dataplane: Dataplane,
  options: Omit<PlanOptions, 'keepComments'>,
): Differences {
  const objects = diffObjects(from.objects, to.objects)
  const { family } = options
  return {
    from,
    to,
    objects,
    lastChanges: lastChanges(reader, objects, { after: from.point.seq, upTo: to.point.seq }),
    ports: diffEndpoints(from.state, to.state).filter(({ port }) => port.family === family),
    chains: diffRules(dataplane, { before: from, after: to }, options),
  }
}

export const isSame = ({ objects, ports, chains }: Differences): boolean =>
  objects.length === 0 && ports.length === 0 && chains.length === 0

/** Endpoints that the node used of a service port, at one of the points. */
export function usedCount({ state }: DiffSide, difference: PortDifference, when: 'before' | 'after'): number {
  const port = state.services.get(difference.port.id)
  if (port === undefined) return 0
  const { cluster, local } = selectEndpoints({ port, endpoints: difference[when], node: state.node })
  return new Set([...cluster, ...local]).size
}

/** How many rules came, went, and have other odds. */
export function ruleCounts(chains: readonly ChainDifference[]): {
  readonly added: number
  readonly removed: number
  readonly odds: number
} {
  const rules = chains.flatMap((chain) => chain.rules)
  const count = (type: 'added' | 'removed' | 'odds'): number => rules.filter((rule) => rule.type === type).length
  return { added: count('added'), removed: count('removed'), odds: count('odds') }
}

/** Looking a record up costs some milliseconds: of more objects than this it is left out. */
const MOST_OBJECTS = 200

/** The last record between two points of each object that differs. */
function lastChanges(
  reader: Pick<ChangeLogReader, 'records'>,
  objects: readonly ObjectDifference[],
  { after, upTo }: { readonly after: Seq; readonly upTo: Seq },
): ReadonlyMap<ObjectDifference, ObjectRecord> {
  const found = new Map<ObjectDifference, ObjectRecord>()
  if (objects.length > MOST_OBJECTS || after >= upTo) return found
  for (const object of objects) {
    const { kind, namespace, name } = object
    const span = { fromSeq: seq(after + 1), toSeq: upTo, descending: true }
    for (const record of reader.records({ ...span, types: ['object'], object: { kind, namespace, name } })) {
      // The log also answers with slices of the Service of that name.
      if (record.type !== 'object' || record.name !== name) continue
      found.set(object, record)
      break
    }
  }
  return found
}
