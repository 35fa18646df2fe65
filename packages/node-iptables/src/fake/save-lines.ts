import type { Counters } from '../rules/rule.js'
import { hooksOf } from './built-in-chains.js'
import type { KernelChain, KernelTable } from './kernel-table.js'

/** A table as iptables-save prints it: built-in chains by hook, the others by name. Lines without line ends. */
export function* saveLines(
  table: KernelTable,
  { counters }: { readonly counters: boolean },
): Generator<string, void, undefined> {
  const userChains = [...table.chains.values()].filter(({ policy }) => policy === undefined).toSorted(byName)
  yield `*${table.name}`
  for (const hook of hooksOf(table.name)) {
    const chain = table.chains.get(hook)
    yield `:${hook} ${chain?.policy ?? 'ACCEPT'} ${spell(chain?.counters)}`
  }
  for (const { name } of userChains) yield `:${name} - ${spell(undefined)}`
  for (const hook of hooksOf(table.name)) yield* ruleLines(table.chains.get(hook), counters)
  for (const chain of userChains) yield* ruleLines(chain, counters)
  yield 'COMMIT'
}

function* ruleLines(chain: KernelChain | undefined, counters: boolean): Generator<string, void, undefined> {
  for (const rule of chain?.rules ?? []) {
    const line = `-A ${chain?.name ?? ''}${rule.text === '' ? '' : ` ${rule.text}`}`
    yield counters ? `${spell(rule.counters)} ${line}` : line
  }
}

const spell = (counters: Counters | undefined): string => `[${counters?.packets ?? '0'}:${counters?.bytes ?? '0'}]`

/** By bytes, as strcmp(3) does. */
const byName = ({ name: one }: KernelChain, { name: other }: KernelChain): number =>
  Buffer.compare(Buffer.from(one), Buffer.from(other))
