import { Gauge, Counter, type Registry } from 'prom-client'

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
