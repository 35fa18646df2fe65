import type { AgentConfig, Dataplane, KubernetesObject } from '@pointsman/core'
import type { Context } from '../context.js'
import { PLAIN, SILENT } from '../output/terminal.js'
import type { AgentEvent } from './agent-event.js'
import { createAgentLines, createAgentLogger, type AgentLine } from './agent-log.js'
import { watchedBy } from './cluster-source.js'
import { createAgentHealth, type AgentHealth } from './health/readiness.js'
import { steadyNow } from './steady-time.js'
import { createAgentMetrics, readProcessFigures, type AgentMetrics } from './metrics/agent-metrics.js'

/** What receives the events of an agent. */
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
  readonly dataplane: Pick<Dataplane, 'metrics' | 'usesServiceCidrs'>
  readonly nodeName: string
  readonly version: string
  readonly observe: boolean
}

export function createAgentObservers(
  { config, dataplane, nodeName, version, observe }: AgentObserversOptions,
  context: Context,
): AgentObservers {
  const { proxy, logging } = config
  const { families, syncPeriodMs, minSyncPeriodMs } = proxy
  const logger = createAgentLogger({ ...logging, sink: context.stderr, now: context.now })
  const linesOf = createAgentLines()
  const health = createAgentHealth({
    families,
    syncPeriodMs,
    minSyncPeriodMs,
    nodeName,
    kinds: watchedBy(dataplane),
    clock: context.now,
    steady: steadyNow,
  })
  const metrics = createAgentMetrics({
    families,
    clock: context.now,
    build: {
      version,
      runtimeVersion: process.version,
      platform: `${process.platform}/${GO_ARCH[process.arch] ?? process.arch}`,
    },
    dataplane: dataplane.metrics,
    readProcess: readProcessFigures,
    observe,
  })
  const listeners = [health.on, metrics.on, (event: AgentEvent) => linesOf(event).forEach(logger.say)]
  const line =
    (level: AgentLine['level']) =>
    (message: string): void =>
      logger.say({ level, message, verbosity: 0 })
  return {
    emit: (event) => {
      for (const tell of listeners) {
        try {
          tell(event)
        } catch (error) {
          // What one object brings to fail is that object's, and not the agent's end. Anything else is a bug of ours.
          const unusable = unusableIn(event, error, context.now())
          if (unusable === undefined) throw error
          for (const other of listeners) other(unusable)
        }
      }
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

function unusableIn(event: AgentEvent, error: unknown, at: number): AgentEvent | undefined {
  if (event.type !== 'event' || event.event.type === 'BOOKMARK') return undefined
  return unusableObject(event.event.object, error, at)
}

/** An object that reading failed on, as what happens in an agent. */
export const unusableObject = (
  { kind, metadata: { namespace, name } }: KubernetesObject,
  error: unknown,
  at: number,
): AgentEvent => ({
  type: 'unusable',
  kind,
  message: `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name} is skipped, and its last usable version stays in effect: reading it failed: ${String(error).slice(0, 300)}`,
  at,
})

/** As Go spells architectures that Node spells otherwise. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
