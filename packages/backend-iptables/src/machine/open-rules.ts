import type { FamilyRules, Machine, MachineRules, OpenOptions } from '@pointsman/core'
import { createIptables, type Iptables, IptablesError, type SavedTable } from 'node-iptables'
import { readTables } from '../audit/text-tables.js'
import { LoadedTables, type OtherTables } from '../loaded-tables.js'
import { variantOf } from './open-dataplane.js'
import { openIptables, toolOf, withProgress } from './open-iptables.js'

/** The tables of each family, and what the variant of iptables that the node does not use has besides. */
export async function openRules(
  { families, choices }: Pick<OpenOptions, 'families' | 'choices'>,
  machine: Machine,
): Promise<MachineRules> {
  const opened = await openIptables({ variant: variantOf(choices), families }, machine)
  const [first] = opened
  if (first === undefined) throw new Error('no family was asked for')
  const { signal } = machine
  const others = await Promise.all(opened.map((iptables) => otherOf(iptables, signal)))
  const tablesOf = (iptables: Iptables): Promise<readonly SavedTable[]> =>
    readTables(withProgress(iptables, machine).saveLines({}, { signal }))
  return {
    tool: toolOf(first),
    capabilities: { randomFully: first.capabilities.randomFully },
    async read() {
      const read: FamilyRules[] = []
      for (const [at, iptables] of opened.entries()) {
        const { family, capabilities } = iptables
        const { variant, version } = capabilities
        const tables = await tablesOf(iptables)
        const other = others[at] && (await otherTables(others[at], tablesOf))
        read.push({ family, rules: new LoadedTables(tables, { family, variant, version, other }) })
      }
      return read
    },
  }
}

/** The same family by the other variant; undefined where that is not installed. */
async function otherOf({ family, capabilities }: Iptables, signal: AbortSignal): Promise<Iptables | undefined> {
  const variant = capabilities.variant === 'nft' ? 'legacy' : 'nft'
  return unlessAbsent(createIptables({ family, variant }, { signal }))
}

async function otherTables(
  iptables: Iptables,
  tablesOf: (iptables: Iptables) => Promise<readonly SavedTable[]>,
): Promise<OtherTables | undefined> {
  const tables = await unlessAbsent(tablesOf(iptables))
  return tables && { variant: iptables.capabilities.variant, tables }
}

/** Undefined where a variant is not installed, or this kernel lacks it: then it has no rules. */
async function unlessAbsent<T>(attempt: Promise<T>): Promise<T | undefined> {
  try {
    return await attempt
  } catch (error) {
    if (error instanceof IptablesError && (error.code === 'NOT_FOUND' || error.code === 'NO_KERNEL_SUPPORT'))
      return undefined
    throw error
  }
}
