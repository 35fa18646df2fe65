import type { Counters } from '../rules/rule.js'
import type { RuleDemands } from './rule-checks.js'

/** The hooks of the kernel that a packet passes: the names of built-in chains. */
export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** The kernel's tables, in the order in which `iptables-nft-save` prints them, with their built-in chains. */
export const BUILT_IN_CHAINS: ReadonlyMap<string, readonly Hook[]> = new Map<string, readonly Hook[]>([
  ['mangle', ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']],
  ['security', ['INPUT', 'FORWARD', 'OUTPUT']],
  ['raw', ['PREROUTING', 'OUTPUT']],
  ['filter', ['INPUT', 'FORWARD', 'OUTPUT']],
  ['nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING']],
])

export const hooksOf = (table: string): readonly Hook[] => BUILT_IN_CHAINS.get(table) ?? []

/** The hook of a built-in chain. Undefined: a user chain's name. */
export const hookOf = (table: string, chain: string): Hook | undefined => hooksOf(table).find((hook) => hook === chain)

/** A rule as the kernel has it. One object is one rule at one place. */
export interface KernelRule {
  /** iptables-save's spelling: two rules are the same when their texts are. */
  readonly text: string
  /** The chain that it jumps or goes to. */
  readonly to: string | undefined
  readonly demands: RuleDemands | undefined
  /** Whatever the packet, the chain ends here: `-j ACCEPT` without a condition. */
  readonly endsChain: boolean
  readonly counters: Counters | undefined
  /** False once it has been deleted. */
  alive: boolean
}

export interface KernelChain {
  readonly name: string
  /** Undefined: a user chain. */
  policy: string | undefined
  counters: Counters | undefined
  rules: KernelRule[]
  /** How many rules of which chains lead here. */
  readonly referrers: Map<string, number>
}

/**
 * One table of the kernel. Every change can be taken back until it is kept, at the cost of the change and not of the
 * table, because a restore of a few rules into many has to stay cheap.
 */
export class KernelTable {
  readonly name: string
  #chains: Map<string, KernelChain> = new Map()
  #exists = false
  #undo: (() => void)[] = []

  constructor(name: string) {
    this.name = name
  }

  get chains(): ReadonlyMap<string, KernelChain> {
    return this.#chains
  }

  /** Whether a save of all tables shows it. */
  get exists(): boolean {
    return this.#exists
  }

  addChain(name: string): KernelChain {
    const policy = hookOf(this.name, name) === undefined ? undefined : 'ACCEPT'
    const chain: KernelChain = { name, policy, counters: undefined, rules: [], referrers: new Map() }
    const existed = this.#exists
    this.#exists = true
    this.#chains.set(name, chain)
    this.#undo.push(() => {
      this.#chains.delete(name)
      this.#exists = existed
    })
    return chain
  }

  /** The chain's rules go with it. */
  removeChain(chain: KernelChain): void {
    this.flush(chain)
    this.#chains.delete(chain.name)
    this.#undo.push(() => this.#chains.set(chain.name, chain))
  }

  /** The table goes with all that it has. */
  removeAll(): void {
    const before = this.#chains
    const existed = this.#exists
    this.#chains = new Map()
    this.#exists = false
    this.#undo.push(() => {
      this.#chains = before
      this.#exists = existed
    })
  }

  insert(chain: KernelChain, at: number, rule: KernelRule): void {
    chain.rules.splice(at, 0, rule)
    this.#link(chain, rule)
    this.#undo.push(() => {
      chain.rules.splice(at, 1)
      this.#unlink(chain, rule)
    })
  }

  remove(chain: KernelChain, at: number): void {
    for (const rule of chain.rules.splice(at, 1)) {
      this.#unlink(chain, rule)
      this.#undo.push(() => {
        chain.rules.splice(at, 0, rule)
        this.#link(chain, rule)
      })
    }
  }

  flush(chain: KernelChain): void {
    const before = chain.rules
    if (before.length === 0) return
    chain.rules = []
    for (const rule of before) this.#unlink(chain, rule)
    this.#undo.push(() => {
      chain.rules = before
      for (const rule of before) this.#link(chain, rule)
    })
  }

  setPolicy(chain: KernelChain, policy: string, counters: Counters | undefined): void {
    const before = { policy: chain.policy, counters: chain.counters }
    chain.policy = policy
    chain.counters = counters
    this.#undo.push(() => Object.assign(chain, before))
  }

  setCounters(name: string, counters: Counters | undefined): void {
    const chain = this.#chains.get(name)
    if (chain?.policy !== undefined) this.setPolicy(chain, chain.policy, counters)
  }

  /** Takes everything back since the last `keep`. */
  rollBack(): void {
    for (const undo of this.#undo.toReversed()) undo()
    this.keep()
  }

  keep(): void {
    this.#undo = []
  }

  #link(chain: KernelChain, rule: KernelRule): void {
    rule.alive = true
    this.#count(chain, rule, 1)
  }

  #unlink(chain: KernelChain, rule: KernelRule): void {
    rule.alive = false
    this.#count(chain, rule, -1)
  }

  #count(chain: KernelChain, rule: KernelRule, difference: 1 | -1): void {
    const referrers = rule.to === undefined ? undefined : this.#chains.get(rule.to)?.referrers
    if (referrers === undefined) return
    const count = (referrers.get(chain.name) ?? 0) + difference
    if (count === 0) referrers.delete(chain.name)
    else referrers.set(chain.name, count)
  }
}

/** The first answer, in the order of the items; those after it are not asked. */
export function firstOf<T, R>(items: readonly T[], read: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const result = read(item)
    if (result !== undefined) return result
  }
  return undefined
}
