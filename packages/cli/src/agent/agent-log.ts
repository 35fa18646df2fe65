import {
  assertNever,
  type Diagnostic,
  type DiagnosticCode,
  type EngineReport,
  type FamilyDrift,
  heldPortKey,
  type LogHealth,
  type RefusalChanges,
  messageOf,
  shortList,
} from '@pointsman/core'
import { pino } from 'pino'
import { countOf } from '../output/format-text.js'
import type { LineSink } from '../output/terminal.js'
import type { AgentEvent } from './agent-event.js'
import { failureText, type HeldPortsReport, portText } from './held-ports.js'
import { processText } from './observe/damage.js'
import { createObservedLines } from './observe/observed-lines.js'
import { createWatchLines } from './watch-lines.js'

/** One line of an agent's text log. */
export interface AgentLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  /** From 0: told at this verbosity and above. */
  readonly verbosity: number
}

/** What an agent says of what happens: once when something begins and once when it is over, however often it is tried. */
export function createAgentLines(): (event: AgentEvent) => readonly AgentLine[] {
  let logTold: 'ok' | 'slow' | 'failed' = 'ok'
  let failing = false
  let doubtful = false
  const repeats = createRepeats(QUIET_MS)

  const objectLines = createObjectLines()
  const watchLines = createWatchLines()
  const observedLines = createObservedLines()

  const engineLines = (report: EngineReport): readonly AgentLine[] => {
    if (report.type === 'failed') {
      failing = true
      const retry = report.retryInMs === undefined ? '' : `; retrying in ${report.retryInMs / 1000} s`
      return [{ level: 'error', message: `sync failed: ${messageOf(report.error)}${retry}`, verbosity: 0 }]
    }
    const { full, rules, bytes } = report.result
    const what = report.changed === 'all' ? 'everything' : `${report.changed.size} service ports`
    const line = `synced ${what} up to seq ${report.toSeq} in ${report.endedAt - report.startedAt} ms: ${bytes} bytes written, ${rules} rules programmed`
    const isNews = full || failing
    failing = false
    return [info(line, isNews ? 0 : 2), ...refusalLines(report.refusals, report.endedAt)]
  }

  const healthLines = (health: LogHealth): readonly AgentLine[] => {
    const before = logTold
    if (health.type === 'ok') {
      logTold = 'ok'
      // A burst of changes makes an append take long, and the next one comes soon: that is for those who ask for more.
      if (before === 'ok') return []
      return [info('the change log is writable again', before === 'slow' ? 2 : 0)]
    }
    const now = health.code === 'LOG_SLOW' ? 'slow' : 'failed'
    if (before === now || before === 'failed') return []
    logTold = now
    const message = `the change log is not writable; syncs continue without it: ${health.message}`
    return [{ ...warning(message), verbosity: now === 'slow' ? 2 : 0 }]
  }

  const driftLines = (
    { family, chains }: FamilyDrift,
    { at, by = [] }: Extract<AgentEvent, { type: 'drift' }>,
  ): readonly AgentLine[] => {
    const quiet = repeats.take(`${family} ${chains.join()}`, at)
    if (quiet === undefined) return []
    const again = quiet === 0 ? '' : ` (${quiet + 1} more times since the last report)`
    const what = `${family} rules in ${countOf(chains.length, 'chain')}`
    const who = by.length === 0 ? '' : `; tables were changed by ${by.map(processText).join(', ')}`
    return [warning(`${what} were modified externally and have been restored${again}: ${shown(chains)}${who}`)]
  }

  return (event) => {
    switch (event.type) {
      case 'start':
        return [info(startText(event))]
      case 'confirmed':
        return [info(`the rules of the logged state are in force up to seq ${event.seq}: ${CONFIRMED[event.by]}`)]
      case 'engine':
        return [...objectLines(event.report.diagnostics), ...engineLines(event.report)]
      case 'watch':
        return watchLines(event.status, event.at)
      case 'log':
        return healthLines(event.health)
      case 'drift': {
        if (event.error === undefined) {
          doubtful = false
          return event.drifts.flatMap((drift) => driftLines(drift, event))
        }
        const isNews = !doubtful
        doubtful = true
        return isNews ? [warning(`drift check failed: ${messageOf(event.error)}`)] : []
      }
      case 'observed':
        return observedLines(event.observation)
      case 'conntrack':
        return event.report.type === 'failed' ? [warning(event.report.error.message)] : []
      case 'unusable':
      case 'unavailable':
        return [warning(event.message)]
      case 'ports':
        return portLines(event.report)
      case 'opened':
      case 'unserved':
      case 'event':
      case 'family':
      case 'listening':
      case 'request':
      case 'probe':
        return []
      default:
        return assertNever(event)
    }
  }
}

/** A few lines, however many service ports are refused: all of them have one cause, or are found in the change log. */
function refusalLines({ begun, ended }: RefusalChanges, at: number): readonly AgentLine[] {
  const more = begun.length - MAX_SHOWN
  return [
    ...begun.slice(0, MAX_SHOWN).map(({ owner, error, retryAt }) => {
      const retry = `retrying in ${Math.max(0, retryAt - at) / 1000} s`
      return warning(`rules of ${owner} are refused, and its previous ones stay in place; ${retry}: ${oneLine(error)}`)
    }),
    ...(more > 0
      ? [warning(`rules of ${countOf(more, 'more service port')} are refused; see /readyz and the change log`)]
      : []),
    ...(ended.length > 0 ? [info(`rules of ${shown(ended)} are no longer refused`)] : []),
  ]
}

/** A few lines, however many ports other processes have: /readyz and the change log name the others. */
function portLines({ held, begun, ended }: HeldPortsReport): readonly AgentLine[] {
  const more = begun.length - MAX_SHOWN
  const now = new Set(held.map(heldPortKey))
  const back = ended.filter(({ port }) => now.has(heldPortKey(port))).map(({ port }) => portText(port))
  return [
    ...begun.slice(0, MAX_SHOWN).map((failure) => warning(failureText(failure))),
    ...(more > 0 ? [warning(`cannot hold ${countOf(more, 'more port')} open; see /readyz and the change log`)] : []),
    ...(back.length > 0 ? [info(`holding ${shown(back)} open now`)] : []),
    info(`holding ${countOf(held.length, 'port')} open`, 2),
  ]
}

const oneLine = (error: unknown): string => messageOf(error).replaceAll(/\s*\n\s*/g, '; ')

/**
 * What an agent says of objects that hold what cannot be read: one line an object, again when something else is wrong with it.
 * The rest of the object counts, and so do all others. What is legal, and means no rules, is logged at verbosity 2.
 */
function createObjectLines(): (found: EngineReport['diagnostics']) => readonly AgentLine[] {
  const said = new Map<string, string>()
  const linesOf = (key: string, diagnostics: readonly Diagnostic[]): readonly AgentLine[] => {
    const message = faultsText(diagnostics)
    if (message === undefined) said.delete(key)
    if (message === undefined || said.get(key) === message) return []
    said.set(key, message)
    return [{ level: 'warn', message, verbosity: diagnostics.every(({ code }) => LEGAL.has(code)) ? 2 : 0 }]
  }
  return (found) => [...found].flatMap(([key, diagnostics]) => linesOf(key, diagnostics))
}

function faultsText(diagnostics: readonly Diagnostic[]): string | undefined {
  const [first] = diagnostics
  if (first === undefined) return undefined
  const faults = diagnostics.slice(0, MAX_FAULTS).map(({ message }) => message)
  const more = diagnostics.length - faults.length
  const rest = more > 0 ? `; and ${countOf(more, 'field')} more` : ''
  return `${first.object}: ignoring fields that cannot be used: ${faults.join('; ')}${rest}`
}

const MAX_FAULTS = 3
const LEGAL: ReadonlySet<DiagnosticCode> = new Set<DiagnosticCode>(['NO_SERVICE_NAME', 'UNSUPPORTED_ADDRESS_TYPE'])

const CONFIRMED: { readonly [by in Extract<AgentEvent, { type: 'confirmed' }>['by']]: string } = {
  unchanged: 'the kernel reports no change since the last sync',
  read: 'the tables read as the last sync left them',
}

function startText({ fromLog, at }: Extract<AgentEvent, { type: 'start' }>): string {
  if (fromLog === undefined) return 'no logged state to start from: waiting for the API server'
  const age = Math.max(0, Math.round((at - fromLog.at) / 1000))
  const reboot = fromLog.rebooted ? '; the machine has rebooted since' : ''
  return `starting from the logged state at seq ${fromLog.seq}, ${age} s old${reboot}`
}

/** How often a repeated change is logged. */
const QUIET_MS = 60_000
const MAX_SHOWN = 5
const shown = (names: readonly string[]): string => shortList(names, MAX_SHOWN)

const info = (message: string, verbosity = 0): AgentLine => ({ level: 'info', message, verbosity })
const warning = (message: string): AgentLine => ({ level: 'warn', message, verbosity: 0 })

/** Tells what is to be said again from what was said a moment ago: two who undo each other's work do so every second. */
interface Repeats {
  /** How often the same was kept quiet since it was said last; undefined: it is to be kept quiet now. */
  readonly take: (what: string, at: number) => number | undefined
}

/** Times in milliseconds. */
export function createRepeats(pauseMs: number): Repeats {
  const said = new Map<string, { readonly at: number; quiet: number }>()
  return {
    take(what, at) {
      for (const [other, { at: then, quiet }] of said) if (quiet === 0 && at - then >= pauseMs) said.delete(other)
      const before = said.get(what)
      if (before !== undefined && at >= before.at && at - before.at < pauseMs) {
        before.quiet++
        return undefined
      }
      said.set(what, { at, quiet: 0 })
      return before?.quiet ?? 0
    },
  }
}

export interface AgentLogger {
  readonly say: (line: AgentLine) => void
  readonly verbosity: () => number
  /** kube-proxy's /debug/flags/v. */
  readonly setVerbosity: (verbosity: number) => void
}

export interface AgentLoggerOptions {
  /** `text`: a line as journald and `kubectl logs` show it. `json`: an object a line. */
  readonly format: 'text' | 'json'
  readonly verbosity: number
  readonly sink: Pick<LineSink, 'print'>
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
}

/** Writes what an agent says, of what its verbosity lets through. */
export function createAgentLogger(options: AgentLoggerOptions): AgentLogger {
  let { verbosity } = options
  const write = options.format === 'json' ? jsonWriter(options) : textWriter(options)
  return {
    say: (line) => {
      if (line.verbosity <= verbosity) write(line)
    },
    verbosity: () => verbosity,
    setVerbosity: (wanted) => (verbosity = wanted),
  }
}

type Writer = (line: AgentLine) => void

const textWriter =
  ({ sink, now }: AgentLoggerOptions): Writer =>
  ({ level, message }) =>
    void sink.print(`${new Date(now()).toISOString()} ${level.padEnd(5)} ${message}`)

function jsonWriter({ sink, now }: AgentLoggerOptions): Writer {
  const logger = pino(
    {
      base: null,
      timestamp: () => `,"ts":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (text) => void sink.print(text.trimEnd()) },
  )
  return ({ level, message, verbosity }) => logger[level]({ v: verbosity }, message)
}
