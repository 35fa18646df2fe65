import { IptablesError } from '../iptables-error.js'
import type { Run, RunResult } from '../run-process.js'
import { monitorLines } from './monitor-lines.js'
import type { MonitorNews } from './monitor-lines.js'
import type { Sleep } from './sleep.js'
import type { Generation, Watchers } from './table-change.js'

export interface GenerationWatch extends Watchers {
  /** The monitor and its arguments. */
  readonly argv: readonly string[]
  readonly run: Run
  readonly isOwn: (generation: Generation) => boolean
  /** How long to wait before a monitor that ended is started again: doubled until it prints something. */
  readonly restart: { readonly minMs: number; readonly maxMs: number }
  readonly sleep: Sleep
  readonly signal: AbortSignal
}

/**
 * Keeps a monitor running until the signal aborts, then settles when it has ended. A monitor that ends, or cannot start,
 * is one MONITOR_ENDED until it has printed something again; one that was overrun is changes-unseen instead.
 */
export async function watchGenerations(watch: GenerationWatch): Promise<void> {
  const { restart, sleep, signal, onChange, onError } = watch
  const take = newsTaker(watch)
  let delayMs = restart.minMs
  let isReported = false
  while (!signal.aborted) {
    const end = await runMonitor(watch, take)
    if (end === undefined) return
    if (end.hasPrinted) {
      delayMs = restart.minMs
      isReported = false
    }
    if (end.isOverrun) onChange({ type: 'changes-unseen' })
    else if (!isReported) {
      onError(end.error)
      isReported = true
    }
    await sleep(delayMs, signal)
    delayMs = Math.min(delayMs * 2, restart.maxMs)
  }
}

/** A gap in the numbers is a commit that nobody saw: the monitor was overrun, or not running. */
function newsTaker({ isOwn, onChange }: GenerationWatch): (news: MonitorNews) => void {
  let expected: number | undefined
  return (news) => {
    if (news.type === 'overrun') {
      // The gap that follows is the same loss.
      expected = undefined
      onChange({ type: 'changes-unseen' })
      return
    }
    if (expected !== undefined && news.generation !== expected) onChange({ type: 'changes-unseen' })
    expected = news.generation + 1
    if (!isOwn(news)) onChange(news)
  }
}

interface MonitorEnd {
  readonly error: IptablesError
  readonly hasPrinted: boolean
  readonly isOverrun: boolean
}

/** Undefined: it was aborted. */
async function runMonitor(watch: GenerationWatch, take: (news: MonitorNews) => void): Promise<MonitorEnd | undefined> {
  const { argv, run, signal } = watch
  const read = monitorLines(take)
  const seen: { hasPrinted: boolean; thrown?: { readonly error: unknown } } = { hasPrinted: false }
  const onOutput = (piece: string): void => {
    seen.hasPrinted = true
    try {
      read(piece)
    } catch (error) {
      seen.thrown = { error }
      throw error
    }
  }
  const end = await run({ argv, signal, onOutput }).then(
    (result) => ({ error: monitorEnded(argv, result), isOverrun: XTABLES_OVERRUN.test(result.stderr) }),
    (cause: unknown) => ({ error: new IptablesError('MONITOR_ENDED', { argv }, { cause }), isOverrun: false }),
  )
  if (seen.thrown !== undefined) throw seen.thrown.error
  return signal.aborted ? undefined : { ...end, hasPrinted: seen.hasPrinted }
}

const XTABLES_OVERRUN = /No buffer space available/

const monitorEnded = (argv: readonly string[], { exitCode, stderr }: RunResult): IptablesError =>
  new IptablesError('MONITOR_ENDED', { argv, exitCode: exitCode ?? undefined, stderr })
