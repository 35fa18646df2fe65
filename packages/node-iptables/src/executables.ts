import type { Variant } from './capabilities.js'

/** Each has tables of its own, and programs of its own: iptables and ip6tables. */
export type Family = 'IPv4' | 'IPv6'

/** The three programs of one family and variant. */
export interface Executables {
  readonly iptables: string
  readonly save: string
  readonly restore: string
}

/** Their names, as distributions have them; `auto` is whichever variant the system's alternatives lead to. */
export function executablesOf({ family, variant, folder }: ExecutablesRequest): Executables {
  const base = family === 'IPv4' ? 'iptables' : 'ip6tables'
  const name = `${folder === undefined ? '' : `${folder}/`}${base}${variant === 'auto' ? '' : `-${variant}`}`
  return { iptables: name, save: `${name}-save`, restore: `${name}-restore` }
}

/** Refuses what only JavaScript can say: `ipv4` must not be taken for the other family. Throws a RangeError. */
export function checkFamily(family: string): void {
  if (family === 'IPv4' || family === 'IPv6') return
  throw new RangeError(`family: ${family}: give IPv4 or IPv6`)
}

export interface ExecutablesRequest {
  readonly family: Family
  readonly variant: 'auto' | Variant
  /** Where they are. Default: where `searchPath` leads. */
  readonly folder?: string | undefined
}
