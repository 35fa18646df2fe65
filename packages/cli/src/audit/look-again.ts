import { setTimeout } from 'node:timers/promises'
import type { Context } from '../context.js'
import { type AskedObjects, askedObjects, type PointOptions } from '../input/asked-objects.js'
import type { Input } from '../input/open-input.js'
import { type RulesQuestion, rulesQuestion, type RulesQuestionOptions } from '../input/rules-question.js'
import { countOf } from '../output/duration.js'
import { SILENT } from '../output/line-sink.js'
import { appliedSince } from './applied-since.js'
import type { AuditReport } from './audit-report.js'
import { findFindings, persisting } from './find-findings.js'
import type { TableSource } from './table-source.js'

/** What the tables are held against. */
export interface Question extends RulesQuestion {
  readonly asked: AskedObjects
}

/** What was there, and what is wrong with it, held against what is known at the same time. */
export interface Look extends Pick<AuditReport, 'asked' | 'read' | 'findings'> {
  readonly question: Question
}

type QuestionOptions = PointOptions & RulesQuestionOptions

export interface Looking {
  readonly input: Input
  readonly source: TableSource
  readonly options: QuestionOptions
}

export async function questionOf(input: Input, options: QuestionOptions, context: Context): Promise<Question> {
  const asked = askedObjects(input, options, context)
  return { asked, ...(await rulesQuestion(asked, options, context)) }
}

export async function lookAt(source: TableSource, question: Question): Promise<Look> {
  const read = await source.read()
  return { asked: question.asked, question, read, findings: findFindings(read, question, source) }
}

/**
 * A sync may have been under way, or a change have come after what the log had: after the time that proxies leave between
 * syncs both are read again, and what is there no longer is no finding. Where the log is an agent's, and says that what was
 * known at the first look is in force by now, the rules may also be those of its last sync: more may have come since.
 */
export async function lookAgain(first: Look, looking: Looking, context: Context): Promise<Look> {
  const { input, source, options } = looking
  const { minSyncPeriodMs } = first.question.config
  const patienceMs = Math.min(Math.max(minSyncPeriodMs, LEAST_PATIENCE_MS), MOST_PATIENCE_MS)
  await setTimeout(patienceMs, undefined, { signal: context.interrupted })
  // What there is to warn of was said at the first look.
  const quiet = { ...context, stderr: SILENT }
  const inForce = await questionInForce(first, looking, { context, quiet, patienceMs: MOST_PATIENCE_MS - patienceMs })
  const question = input.type === 'log' ? await questionOf(input, options, quiet) : first.question
  const second = await lookAt(source, question)
  const lasting = persisting(first.findings, second.findings)
  const findings = inForce ? persisting(findFindings(second.read, inForce, source), lasting) : lasting
  const gone = first.findings.length - findings.length
  if (gone > 0) context.stderr.print(`${countOf(gone, 'finding')} of a first look had gone at a second: not told`)
  return { ...second, findings }
}

const LEAST_PATIENCE_MS = 1000
const MOST_PATIENCE_MS = 10_000
const POLL_MS = 250

/** What an agent has brought into force since the first look, waited for; undefined where it has not, or there is none. */
async function questionInForce(
  { asked }: Look,
  { input, options }: Looking,
  { context, quiet, patienceMs }: Waiting,
): Promise<Question | undefined> {
  // A point that is asked for is what is meant.
  if (input.type !== 'log' || asked.point === undefined || options.at !== undefined || options.applied) return undefined
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const applied = appliedSince(input.reader, asked.point.seq)
    if (applied.type === 'in-force') return questionOf(input, { ...options, applied: true }, quiet)
    if (applied.type === 'no-agent' || waitedMs >= patienceMs) return undefined
    if (waitedMs === 0)
      context.stderr.print('the agent that writes the log is behind: waiting for it, some seconds at most')
    await setTimeout(POLL_MS, undefined, { signal: context.interrupted })
  }
}

interface Waiting {
  readonly context: Context
  /** The same, but for what it would say of the log once more. */
  readonly quiet: Context
  readonly patienceMs: number
}
