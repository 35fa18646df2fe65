import type { Dataplane, ProxyConfig } from '@pointsman/core'
import { CliError, type ExitStatus } from './errors.js'
import type { LineSink, Style, TextSink } from './output/terminal.js'

/** All that a command knows of the world around it; `main` makes the real one, tests theirs. */
export interface Context {
  readonly stdin: NodeJS.ReadableStream
  /** Results, and nothing else. */
  readonly stdout: LineSink
  /** Progress and warnings. */
  readonly stderr: LineSink
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
  /** The rule systems that there are; the first is the default. */
  readonly dataplanes: readonly [Dataplane, ...Dataplane[]]
  /** Says what the process ends with; 0 when nobody called it. */
  readonly finish: (status: ExitStatus) => void
}

/** The world as the process has it, before its streams are made safe to print to. */
export interface World extends Omit<Context, 'stdout' | 'stderr' | 'finish'> {
  readonly stdout: TextSink
  readonly stderr: TextSink
}

/** The rule system that a configuration asks for. CliError BAD_INPUT where there is none of this mode. */
export function dataplaneOf(
  { dataplanes }: Pick<Context, 'dataplanes'>,
  { mode }: Pick<ProxyConfig, 'mode'>,
): Dataplane {
  const found = dataplanes.find((dataplane) => dataplane.mode === mode)
  if (found !== undefined) return found
  throw new CliError(
    'BAD_INPUT',
    `mode ${JSON.stringify(mode)} is not supported: give --config with mode ${modesOf({ dataplanes }).join(' or ')}`,
  )
}

/** The modes that a configuration may ask for; the first is the default. */
export function modesOf({
  dataplanes: [first, ...others],
}: Pick<Context, 'dataplanes'>): readonly [string, ...string[]] {
  return [first.mode, ...others.map(({ mode }) => mode)]
}

/** A warning on standard error. */
export function warn(context: Pick<Context, 'stderr' | 'errorStyle'>, message: string): void {
  context.stderr.print(`${context.errorStyle.yellow('warning:')} ${message}`)
}
