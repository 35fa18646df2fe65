import type { AgentConfig } from '@pointsman/core'
import { runProcess } from 'node-iptables'
import type { Context } from '../context.js'
import { PLAIN } from '../output/colour.js'
import { SILENT } from '../output/line-sink.js'
import { readNfacct } from '../machine/read-nfacct.js'
import type { AgentEvent } from './agent-event.js'
import { type AgentLine, createAgentLines } from './agent-log.js'
import { createAgentLogger } from './agent-logger.js'
import { type AgentHealth, createAgentHealth } from './health/agent-health.js'
import { type AgentMetrics, createAgentMetrics } from './metrics/agent-metrics.js'
import { readProcessFigures } from './metrics/read-process-figures.js'

/** Those who are told what happens in an agent. */
export interface AgentObservers {
  readonly emit: (event: AgentEvent) => void
  /** One more, from now on. */
  readonly listen: (listener: (event: AgentEvent) => void) => void
  readonly info: (message: string) => void
  readonly warn: (message: string) => void
  readonly setVerbosity: (verbosity: number) => void
  readonly health: AgentHealth
  readonly metrics: AgentMetrics
  /** The command's context, whose warnings are lines of the text log. */
  readonly context: Context
}

export interface AgentObserversOptions {
  readonly config: AgentConfig
  readonly nodeName: string
  readonly version: string
}

export function createAgentObservers(
  { config, nodeName, version }: AgentObserversOptions,
  context: Context,
): AgentObservers {
  const { proxy, logging } = config
  const { families, syncPeriodMs, minSyncPeriodMs } = proxy
  const logger = createAgentLogger({ ...logging, sink: context.stderr, now: context.now })
  const linesOf = createAgentLines()
  const health = createAgentHealth({ families, syncPeriodMs, minSyncPeriodMs, nodeName, clock: context.now })
  const metrics = createAgentMetrics({
    families,
    clock: context.now,
    build: {
      version,
      runtimeVersion: process.version,
      platform: `${process.platform}/${GO_ARCH[process.arch] ?? process.arch}`,
    },
    readCounters: () => readNfacct(runProcess),
    readProcess: readProcessFigures,
  })
  const listeners = [health.on, metrics.on, (event: AgentEvent) => linesOf(event).forEach(logger.say)]
  const line =
    (level: AgentLine['level']) =>
    (message: string): void =>
      logger.say({ level, message, verbosity: 0 })
  return {
    emit: (event) => {
      for (const tell of listeners) tell(event)
    },
    listen: (listener) => void listeners.push(listener),
    info: line('info'),
    warn: line('warn'),
    setVerbosity: logger.setVerbosity,
    health,
    metrics,
    context: {
      ...context,
      stderr: {
        ...SILENT,
        print: (lines) => [lines].flat().forEach((text) => line('warn')(text.replace(/^warning: /, ''))),
      },
      errorStyle: PLAIN,
    },
  }
}

/** As Go spells architectures that Node spells otherwise. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
