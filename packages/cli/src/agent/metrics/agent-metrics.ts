import { readdirSync, readFileSync } from 'node:fs'
import type { DataplaneMetrics, IpFamily } from '@pointsman/core'
import { Counter, Gauge, Registry } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import { changeMetrics, programmingMetrics } from './change-metrics.js'
import { observeMetrics } from './observe-metrics.js'
import {
  conntrackMetrics,
  driftMetrics,
  heldPortMetrics,
  localPolicyMetrics,
  registerPacketMetrics,
  syncMetrics,
} from './rule-metrics.js'
import { logMetrics, probeMetrics, requestMetrics, watchMetrics } from './watch-metrics.js'

interface AgentMetricsOptions {
  readonly families: readonly IpFamily[]
  /** Milliseconds since 1970 UTC. */
  readonly clock: () => number
  readonly build: BuildInfo
  /** What only the data plane has. */
  readonly dataplane: DataplaneMetrics
  readonly readProcess: () => ProcessFigures
  /** Only an observer: the metrics of what it sees in place of those of what an agent writes. Default: an agent. */
  readonly observe?: boolean | undefined
}

/** All metrics of an agent, in a registry of their own: a fold over what happens. `docs/metrics.md` lists each. */
export interface AgentMetrics {
  readonly on: (event: AgentEvent) => void
  readonly registry: Registry
}

export function createAgentMetrics(options: AgentMetricsOptions): AgentMetrics {
  const { families, clock, build, dataplane, readProcess } = options
  const registry = new Registry()
  const own = options.observe === true ? OBSERVER_GROUPS : [...WRITER_GROUPS, ...GROUPS]
  const groups = own.map((group) => group({ registry, families, clock, dataplane }))
  if (options.observe !== true) registerPacketMetrics(registry, dataplane)
  registerProcessMetrics(registry, readProcess)
  registerBuildInfo(registry, build)
  return {
    on: (event) => {
      for (const tell of groups) tell(event)
    },
    registry,
  }
}

/** What follows from writing rules. */
const WRITER_GROUPS = [
  syncMetrics,
  changeMetrics,
  programmingMetrics,
  localPolicyMetrics,
  conntrackMetrics,
  heldPortMetrics,
]
const GROUPS = [probeMetrics, requestMetrics, watchMetrics, driftMetrics, logMetrics]
const OBSERVER_GROUPS = [probeMetrics, requestMetrics, watchMetrics, logMetrics, observeMetrics]

/** What was built, of what, by what. */
interface BuildInfo {
  /** `0.1.0`. */
  readonly version: string
  /** `v20.20.2`: what runs it. */
  readonly runtimeVersion: string
  /** `linux/amd64`, as Go spells it. */
  readonly platform: string
  /** Absent: not known. */
  readonly commit?: string
  readonly builtAt?: string
}

/** The metric by which dashboards tell versions apart, with Kubernetes' labels and our values. */
function registerBuildInfo(registry: Registry, build: BuildInfo): void {
  const [major = '', minor = ''] = build.version.split('.')
  const labels = {
    major,
    minor,
    git_version: `v${build.version}`,
    git_commit: build.commit ?? '',
    git_tree_state: build.commit === undefined ? '' : 'clean',
    build_date: build.builtAt ?? '',
    go_version: `node${build.runtimeVersion.replace(/^v/, '')}`,
    compiler: 'node',
    platform: build.platform,
  }
  new Gauge({
    name: 'kubernetes_build_info',
    help: 'Always 1: the version of Pointsman, under the labels that Kubernetes has for its own.',
    labelNames: Object.keys(labels),
    registers: [registry],
  }).set(labels, 1)
}

/** What the system says of this process. What it does not say is left out. */
interface ProcessFigures {
  readonly cpuSeconds: number
  readonly residentBytes: number
  /** Seconds since 1970. */
  readonly startedAtSeconds: number
  readonly virtualBytes?: number
  readonly openFiles?: number
  readonly maxFiles?: number
  /** Of the commands that it runs. */
  readonly children?: {
    /** Of those that have ended. */
    readonly cpuSeconds: number
    /** Of those that run now, together. */
    readonly residentBytes: number
  }
}

/** The process metrics that Kubernetes' own components have, read on request; none of the JavaScript engine. */
function registerProcessMetrics(registry: Registry, read: () => ProcessFigures): void {
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
  for (const each of GAUGES) registerGauge(each)
  const childrenCpu: Counter = new Counter({
    name: 'pointsman_children_cpu_seconds_total',
    help: 'Processor time of commands that have ended, such as iptables-restore, in seconds.',
    registers,
    collect: () => {
      childrenCpu.reset()
      childrenCpu.inc(figures.children?.cpuSeconds ?? 0)
    },
  })
  registerGauge(CHILDREN_GAUGE)

  function registerGauge({ name, help, of }: ProcessGauge): void {
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

const CHILDREN_GAUGE: ProcessGauge = {
  name: 'pointsman_children_resident_memory_bytes',
  help: 'Resident memory of the commands that run now, such as iptables-restore.',
  of: ({ children }) => children?.residentBytes,
}

/** Of processes that were started by the main thread, as all are. */
function readChildren(): ProcessFigures['children'] {
  const stat = textOf('/proc/self/stat')
  const pids = textOf(`/proc/self/task/${process.pid}/children`)
  if (stat === undefined || pids === undefined) return undefined
  // proc_pid_stat(5): cutime and cstime, after the name, which may hold blanks; in hundredths of a second for user space.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const residentKiB = pids.split(' ').map((pid) => {
    const status = /^\d+$/.test(pid) ? textOf(`/proc/${pid}/status`) : undefined
    // One that has ended has no memory.
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status ?? '')?.[1] ?? 0)
  })
  return {
    cpuSeconds: (Number(fields[13]) + Number(fields[14])) / 100,
    residentBytes: residentKiB.reduce((sum, each) => sum + each, 0) * 1024,
  }
}

/** Reads what Node and Linux's /proc say of this process. */
export function readProcessFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage()
  const virtualKiB = Number(/^VmSize:\s+(\d+) kB/m.exec(textOf('/proc/self/status') ?? '')?.[1])
  const maxFiles = Number(/^Max open files +(\d+)/m.exec(textOf('/proc/self/limits') ?? '')?.[1])
  const openFiles = filesIn('/proc/self/fd')
  const children = readChildren()
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    startedAtSeconds: performance.timeOrigin / 1000,
    ...(Number.isFinite(virtualKiB) && { virtualBytes: virtualKiB * 1024 }),
    ...(Number.isFinite(maxFiles) && { maxFiles }),
    ...(openFiles !== undefined && { openFiles }),
    ...(children && { children }),
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
