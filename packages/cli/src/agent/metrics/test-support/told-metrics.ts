import { iptablesDataplane } from '@pointsman/backend-iptables'
import type { IpFamily } from '@pointsman/core'
import type { AgentEvent } from '../../agent-event.js'
import { createAgentMetrics } from '../agent-metrics.js'
import { createReading, type Reading } from './reading.js'

/** When the agent of these tests began. */
export const START = Date.UTC(2026, 10, 21, 9, 0, 0)

/** Metrics that a test tells what happens, and reads. */
export interface ToldMetrics {
  /** Tells what happens at a time after the start. */
  readonly at: (ms: number, ...events: readonly AgentEvent[]) => void
  readonly read: () => Promise<Reading>
}

export function toldMetrics({
  families = ['IPv4', 'IPv6'],
  counters = NO_COUNTERS,
}: ToldMetricsOptions = {}): ToldMetrics {
  let now = START
  const { on, registry } = createAgentMetrics({
    families,
    clock: () => now,
    build: { version: '0.1.0', runtimeVersion: 'v20.20.2', platform: 'linux/amd64', commit: 'abc123' },
    dataplane: {
      ...iptablesDataplane.metrics,
      readPackets: () => (counters instanceof Error ? Promise.reject(counters) : Promise.resolve(counters)),
    },
    readProcess: () => ({ cpuSeconds: 1.5, residentBytes: 5e7, startedAtSeconds: 1000, openFiles: 12, maxFiles: 1024 }),
  })
  return {
    at(ms, ...events) {
      now = START + ms
      for (const event of events) on(event)
    },
    read: () => createReading(registry),
  }
}

interface ToldMetricsOptions {
  readonly families?: readonly IpFamily[]
  /** What the kernel has counted, or why it cannot be read. */
  readonly counters?: Readonly<Record<string, number>> | Error
}

const NO_COUNTERS: Readonly<Record<string, number>> = {}
