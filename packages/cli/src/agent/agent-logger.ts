import { pino } from 'pino'
import type { LineSink } from '../output/line-sink.js'
import type { AgentLine } from './agent-log.js'

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
