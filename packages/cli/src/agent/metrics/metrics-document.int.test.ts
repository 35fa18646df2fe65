import { readFileSync } from 'node:fs'
import { iptablesDataplane } from '@pointsman/backend-iptables'
import { describe, expect, it } from 'vitest'
import { createAgentMetrics, readProcessFigures } from './agent-metrics.js'
import { createReading } from './test-support/reading.js'

const registryOf = (observe: boolean) =>
  createAgentMetrics({
    families: ['IPv4', 'IPv6'],
    clock: () => Date.now(),
    build: { version: '0.1.0', runtimeVersion: process.version, platform: 'linux/amd64' },
    dataplane: { ...iptablesDataplane.metrics, readPackets: () => Promise.resolve({}) },
    readProcess: readProcessFigures,
    observe,
  }).registry
const registry = registryOf(false)

/** What the types of the library do not tell of a metric. */
interface Metric {
  readonly name: string
  readonly type: string
  readonly labelNames: readonly string[]
}

describe('docs/metrics.md', () => {
  it('lists each metric with its type and labels, in order, and no others', () => {
    const document = readFileSync(new URL('../../../../../docs/metrics.md', import.meta.url), 'utf8')
    const rows = [...document.matchAll(/^\| `([a-z_]+)` \| (gauge|counter|histogram) \| ([^|]*)\|/gm)]
    const listed = rows.map(([, name = '', type = '', labels = '']) => ({
      name,
      type,
      labelNames: [...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ''),
    }))
    const all = registry.getMetricsAsArray() as unknown as readonly Metric[]
    const observers = registryOf(true).getMetricsAsArray() as unknown as readonly Metric[]
    const metrics = [...all, ...observers.filter(({ name }) => !all.some((one) => one.name === name))]
    expect(listed).toEqual(metrics.map(({ name, type, labelNames }) => ({ name, type, labelNames: [...labelNames] })))
  })
})

describe('the process', () => {
  it('is read from the system', async () => {
    const { value } = await createReading(registry)
    expect(value('process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e7)
    expect(value('process_virtual_memory_bytes')).toBeGreaterThan(value('process_resident_memory_bytes') ?? 0)
    expect(value('process_open_fds')).toBeGreaterThan(2)
    expect(value('process_max_fds')).toBeGreaterThan(value('process_open_fds') ?? 0)
    expect(value('pointsman_children_cpu_seconds_total')).toBeGreaterThanOrEqual(0)
    const age = Date.now() / 1000 - (value('process_start_time_seconds') ?? 0)
    expect(age).toBeGreaterThan(0)
    expect(age).toBeLessThan(600)
  })
})
