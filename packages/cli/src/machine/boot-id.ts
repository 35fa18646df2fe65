import { readFileSync } from 'node:fs'

/** Of the machine's present boot. Undefined: this system does not say. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}
