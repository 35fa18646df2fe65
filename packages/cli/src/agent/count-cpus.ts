import type { MachineFiles } from './machine-settings.js'

/**
 * The CPUs of the machine that are online, not only those that this process may use: conntrack's table is the machine's
 * (kubernetes#99225).
 */
export async function countCpus({ readFile, cpus }: Pick<MachineFiles, 'readFile' | 'cpus'>): Promise<number> {
  try {
    return countIn(await readFile('/sys/devices/system/cpu/online')) ?? cpus
  } catch {
    return cpus
  }
}

/** Of a list such as `0-3,8,10-11`; undefined where it is none. */
function countIn(list: string): number | undefined {
  let count = 0
  for (const range of list.trim().split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
    if (first === undefined || Number(last) < Number(first)) return undefined
    count += Number(last) - Number(first) + 1
  }
  return count
}
