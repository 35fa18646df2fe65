import { readFile, stat } from 'node:fs/promises'
import type { LockHolder } from './iptables-error.js'

/** Who holds a lock on the file, as /proc tells. Undefined where it cannot be seen, or is over by now. Never fails. */
export async function lockHolderOf(file: string): Promise<LockHolder | undefined> {
  try {
    const { dev, ino } = await stat(file)
    const pid = holderIn(await readFile('/proc/locks', 'utf8'), { dev, ino })
    if (pid === undefined) return undefined
    return { pid, command: (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() }
  } catch {
    return undefined
  }
}

/** The process that has a flock(2) on a file, in the text of /proc/locks; those that wait for it are marked `->`. */
export function holderIn(
  locks: string,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): number | undefined {
  const file = `${hex(majorOf(dev))}:${hex(minorOf(dev))}:${ino}`
  const held = locks
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => fields[1] === 'FLOCK' && fields[5] === file)
  const pid = Number(held?.[4])
  // Zero or less: the process is of another pid namespace.
  return pid > 0 ? pid : undefined
}

const hex = (number: number): string => number.toString(16).padStart(2, '0')

// Linux keeps 12 bits of the major and 20 of the minor number, in this order: minor's low 8, major, minor's rest.
const majorOf = (dev: number): number => Math.floor(dev / 0x100) & 0xfff
const minorOf = (dev: number): number => (dev & 0xff) | ((Math.floor(dev / 0x1000) & 0xfff00) >>> 0)
