import { readdirSync, readFileSync } from 'node:fs'
import type { ProcessFigures } from './process-metrics.js'

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
