import { readdirSync, readFileSync } from 'node:fs'
import { Counter, Gauge, type Registry } from 'prom-client'

/** What the system says of this process. What it does not say is left out. */
export interface ProcessFigures {
  readonly cpuSeconds: number
  readonly residentBytes: number
  /** Seconds since 1970. */
  readonly startedAtSeconds: number
  readonly virtualBytes?: number
  readonly openFiles?: number
  readonly maxFiles?: number
}

/** The process metrics that Kubernetes' own components have, read when somebody asks; none of the JavaScript engine. */
export function registerProcessMetrics(registry: Registry, read: () => ProcessFigures): void {
  const registers = [registry]
  // One reading serves all, because the first of them is collected first.
  let figures: ProcessFigures = read()
  const cpu: Counter = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of user and system, in seconds.',
    registers,
    collect: () => {
      figures = read()
      cpu.reset()
      cpu.inc(figures.cpuSeconds)
    },
  })
  for (const { name, help, of } of GAUGES) {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers,
      collect: () => {
        const value = of(figures)
        if (value === undefined) gauge.remove({})
        else gauge.set(value)
      },
    })
  }
}

interface ProcessGauge {
  readonly name: string
  readonly help: string
  readonly of: (figures: ProcessFigures) => number | undefined
}

const GAUGES: readonly ProcessGauge[] = [
  { name: 'process_resident_memory_bytes', help: 'Resident memory.', of: ({ residentBytes }) => residentBytes },
  { name: 'process_virtual_memory_bytes', help: 'Virtual memory.', of: ({ virtualBytes }) => virtualBytes },
  { name: 'process_open_fds', help: 'Open file descriptors.', of: ({ openFiles }) => openFiles },
  { name: 'process_max_fds', help: 'How many file descriptors may be open.', of: ({ maxFiles }) => maxFiles },
  {
    name: 'process_start_time_seconds',
    help: 'When the process was started, in seconds since 1970.',
    of: ({ startedAtSeconds }) => startedAtSeconds,
  },
]

/** Reads what Node and Linux's /proc say of this process. */
export function readProcessFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage()
  const virtualKiB = Number(/^VmSize:\s+(\d+) kB/m.exec(textOf('/proc/self/status') ?? '')?.[1])
  const maxFiles = Number(/^Max open files +(\d+)/m.exec(textOf('/proc/self/limits') ?? '')?.[1])
  const openFiles = filesIn('/proc/self/fd')
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    startedAtSeconds: performance.timeOrigin / 1000,
    ...(Number.isFinite(virtualKiB) && { virtualBytes: virtualKiB * 1024 }),
    ...(Number.isFinite(maxFiles) && { maxFiles }),
    ...(openFiles !== undefined && { openFiles }),
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function filesIn(path: string): number | undefined {
  try {
    return readdirSync(path).length
  } catch {
    return undefined
  }
}
