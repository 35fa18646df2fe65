import type { ExitStatus } from './errors.js'
import type { Style } from './output/colour.js'

/** Where a command writes to. A write that gives false asks to wait for `drain` before the next, as a slow pipe's does. */
export interface TextSink {
  write(text: string): unknown
  once?(event: 'drain', listener: () => void): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** All that a command knows of the world around it; `main` makes the real one, tests theirs. */
export interface Context {
  readonly stdin: NodeJS.ReadableStream
  /** Results, and nothing else. */
  readonly stdout: TextSink
  /** Progress and warnings. */
  readonly stderr: TextSink
  readonly env: Readonly<Record<string, string | undefined>>
  /** Milliseconds since 1970 UTC: for progress and rates, never for what is printed as a result. */
  readonly now: () => number
  /**
   * Aborted by the first Ctrl-C or SIGTERM; what runs finishes its step, closes and says how to go on. Of a command that writes
   * nothing it is never aborted: a signal ends the process at once.
   */
  readonly interrupted: AbortSignal
  /** Colours for standard output and for standard error: none in a pipe. */
  readonly style: Style
  readonly errorStyle: Style
  /** Says what the process ends with; 0 when nobody called it. */
  readonly finish: (status: ExitStatus) => void
}

/** A warning on standard error. */
export function warn(context: Context, message: string): void {
  context.stderr.write(`${context.errorStyle.yellow('warning:')} ${message}\n`)
}
