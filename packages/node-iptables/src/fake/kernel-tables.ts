import { BUILT_IN_CHAINS } from './built-in-chains.js'
import { makeBuiltInChains } from './apply-operation.js'
import { KernelTable } from './kernel-table.js'
import type { Program } from './spell-failure.js'

/** All tables of one family in one kernel, as one variant sees them. */
export interface KernelTables {
  readonly program: Program
  /** The nfacct objects that there are. */
  readonly objects: ReadonlySet<string>
  /** Undefined: the kernel has no such table. legacy makes a table by looking at it. */
  readonly open: (name: string) => KernelTable | undefined
  /** Those that are there, in the order of a save. */
  readonly existing: () => readonly KernelTable[]
}

export function kernelTables(program: Program, objects: ReadonlySet<string>): KernelTables {
  const tables = new Map<string, KernelTable>([...BUILT_IN_CHAINS.keys()].map((name) => [name, new KernelTable(name)]))
  /** legacy lists the newest first. */
  const made: KernelTable[] = []

  return {
    program,
    objects,
    open: (name) => {
      const table = tables.get(name)
      if (table !== undefined && program.variant === 'legacy' && !table.exists) {
        makeBuiltInChains(table)
        table.keep()
        made.unshift(table)
      }
      return table
    },
    existing: () => (program.variant === 'legacy' ? made : [...tables.values()].filter(({ exists }) => exists)),
  }
}
