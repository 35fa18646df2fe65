import {
  loggedConfigAt,
  serviceOf,
  DEFAULT_PROXY_CONFIG,
  NO_SEQ,
  seq,
  type ChangeLogReader,
  type KubernetesObject,
  type ProxyConfig,
  type Seq,
  type ServiceName,
} from '@pointsman/core'
import type { OwnedRule } from '../render/owned-rules.js'
import type { RulesetOptions } from '../ruleset/context.js'
import type { BlamedRule, GoneRule } from './rule-change.js'
import { createRuleHistory, type RuleHistory } from './rule-history.js'
import { touchingRecords } from './touching-records.js'

export interface BlameQuestion {
  readonly reader: ChangeLogReader
  /** Rules are asked for as they were after this record. */
  readonly toSeq: Seq
  /**
   * Only of this Service; `none`: those that are there whatever Services there are; absent: of all, from every record of
   * the log.
   */
  readonly service?: ServiceName | 'none' | undefined
  readonly nodeName?: string | undefined
  /** `recorded`: those of the log, each from its record on. */
  readonly config: ProxyConfig | 'recorded'
  readonly options: Omit<RulesetOptions, 'keepComments'>
  /** Which rules are asked about; absent: all. */
  readonly accepts?: (rule: OwnedRule) => boolean
}

export interface Blame {
  readonly rules: readonly BlamedRule[]
  /** Those that are no longer there, of the last record that took any. */
  readonly lastGone: readonly GoneRule[]
  readonly editBehind: RuleHistory['editBehind']
}

/**
 * Where rules come from: each with the records that made it and that last changed it. Yields the position that it has come
 * to every so often, so that a long history can be watched and given up.
 */
export function* blameRules(question: BlameQuestion): Generator<Seq, Blame, undefined> {
  const { reader, toSeq, service, nodeName, options, accepts } = question
  const { pruned, firstSeq } = reader.info()
  const floor = pruned ? seq(firstSeq - 1) : NO_SEQ
  const history = createRuleHistory({
    options,
    nodeName,
    config: question.config === 'recorded' ? (loggedConfigAt(reader, floor) ?? DEFAULT_PROXY_CONFIG) : question.config,
    ...(accepts && { accepts }),
    ...(pruned && { objects: objectsAt(floor, question) }),
  })
  let lastGone: readonly GoneRule[] = []
  const configs = question.config === 'recorded'
  let count = 0
  for (const record of touchingRecords(reader, { fromSeq: seq(floor + 1), toSeq, service, nodeName, configs })) {
    const gone = history.take(record)
    if (gone.length > 0) lastGone = gone
    if (++count % BREATH === 0) yield record.seq
  }
  return { rules: history.rules(), lastGone, editBehind: (cause) => history.editBehind(cause) }
}

const BREATH = 500

function objectsAt(floor: Seq, { reader, service }: BlameQuestion): readonly KubernetesObject[] {
  const objects: KubernetesObject[] = []
  reader.eachObjectAt(floor, (object) => {
    if (service === undefined || isAbout(object, service)) objects.push(object)
  })
  return objects
}

const isAbout = (object: KubernetesObject, service: ServiceName | 'none'): boolean =>
  object.kind === 'Node' || serviceOf(object) === service
