import type { Family } from '../detect-variant.js'
import type { Iptables, Limits } from '../iptables.js'
import type { Sleep, Watchers } from './watch-changes.js'

export interface CanaryWatch extends Watchers {
  readonly iptables: readonly Iptables[]
  readonly tables: readonly string[]
  readonly chain: string
  /** The words of a rule to keep in the chain, so that a flush without a deletion shows too. */
  readonly rule: readonly string[] | undefined
  readonly intervalMs: number
  /** For each command. */
  readonly timeoutMs: number
  readonly sleep: Sleep
  readonly signal: AbortSignal
}

/**
 * Makes the canaries, then looks at an interval whether they are there, until the signal aborts. What is lost is told
 * first and made again after: a command that fails or is ended in between can lose no news. One that could not be made
 * is tried again at the next look, and is not told twice.
 */
export async function watchCanaries(watch: CanaryWatch): Promise<void> {
  const checks = watch.iptables.map((iptables) => canaryCheck(watch, iptables))
  while (!watch.signal.aborted) {
    for (const check of checks) await check()
    await watch.sleep(watch.intervalMs, watch.signal)
  }
}

type Canary = 'whole' | 'flushed' | 'gone'

interface Found {
  readonly table: string
  readonly canary: Canary
}

function canaryCheck(watch: CanaryWatch, iptables: Iptables): () => Promise<void> {
  const { tables, signal, onError } = watch
  const limits: Limits = { signal, timeoutMs: watch.timeoutMs }
  /** The tables whose canary was whole when it was last seen. */
  const known = new Set<string>()

  const isOver = (): boolean => signal.aborted

  /** Undefined: it failed, and that is told, or the watch ends. */
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (isOver()) return undefined
    const outcome = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    if ('value' in outcome) return outcome.value
    if (!isOver()) onError(outcome.error)
    return undefined
  }

  return async () => {
    const found: Found[] = []
    for (const table of tables) {
      const canary = await attempt(() => look(iptables, { ...watch, table, limits }))
      if (canary !== undefined) found.push({ table, canary })
    }
    if (isOver()) return
    tell(
      watch,
      iptables.family,
      found.filter(({ table }) => known.has(table)),
    )
    for (const { table, canary } of found) {
      if (canary !== 'whole') known.delete(table)
      const isWhole =
        canary === 'whole' || (await attempt(() => make(iptables, { ...watch, table, limits }))) === 'whole'
      if (isWhole) known.add(table)
    }
  }
}

interface CanaryPlace {
  readonly table: string
  readonly chain: string
  readonly rule: readonly string[] | undefined
  readonly limits: Limits
}

async function look(iptables: Iptables, { table, chain, rule, limits }: CanaryPlace): Promise<Canary> {
  if (!(await iptables.hasChain({ table, chain }, limits))) return 'gone'
  return rule === undefined || (await iptables.checkRule({ table, chain, rule }, limits)) ? 'whole' : 'flushed'
}

async function make(iptables: Iptables, { table, chain, rule, limits }: CanaryPlace): Promise<'whole'> {
  await iptables.ensureChain({ table, chain }, limits)
  if (rule !== undefined) await iptables.ensureRule({ table, chain, rule, position: 'append' }, limits)
  return 'whole'
}

function tell({ onChange }: Watchers, family: Family, found: readonly Found[]): void {
  const tablesWith = (canary: Canary): readonly string[] =>
    found.filter((one) => one.canary === canary).map(({ table }) => table)
  const gone = tablesWith('gone')
  const flushed = tablesWith('flushed')
  if (gone.length > 0) onChange({ type: 'canary-gone', family, tables: gone })
  if (flushed.length > 0) onChange({ type: 'canary-flushed', family, tables: flushed })
}
