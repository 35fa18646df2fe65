import {
  buildState,
  type ChangeLogReader,
  configOfRecord,
  type KubernetesObject,
  nodeWithoutObject,
  type RulesAt,
  type State,
} from '@pointsman/core'
import type { Context } from '../context.js'
import { askedObjects } from '../input/asked-objects.js'
import type { Input } from '../input/open-input.js'
import { type ResolvedPoint, resolvePoint } from '../input/point-in-time.js'
import { givesConfig } from '../input/proxy-config.js'
import { rulesQuestion, type RulesQuestionOptions } from '../input/rules-question.js'

/** What there was at one of the two points. */
export interface DiffSide extends RulesAt {
  readonly state: State
  readonly point: ResolvedPoint
  readonly objects: readonly KubernetesObject[]
}

export interface DiffQuestion {
  readonly reader: ChangeLogReader
  readonly from: DiffSide
  readonly to: DiffSide
}

export interface DiffPoints {
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
  const asked = askedObjects(input, { at: String(to.seq) }, context)
  const { state, config } = await rulesQuestion(asked, options, context)
  const before = askedObjects(input, { at: String(from.seq) }, context)
  const logged = givesConfig(options) ? undefined : before.logged
  const earlier = logged === undefined ? config : configOfRecord(logged)
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
