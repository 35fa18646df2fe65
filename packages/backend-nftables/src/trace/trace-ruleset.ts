import type { AffinityList, Hook, Trace, TracedRule, TraceQuestion } from '@pointsman/core'
import {
  type BaseChain,
  HookedRules,
  type RuleSystem,
  tracePacket,
  walkChain,
  type WalkContext,
} from '@pointsman/core/trace'
import type { NftChain, NftRule, NftRuleset, NftTable, Statement } from '../listing/model.js'
import { meetRule } from './meet-rule.js'
import { dynamicSets, toldRule, walkedTables, type WalkedTable } from './nft-tables.js'

/**
 * The way of a packet through what nft lists: the base chains of the packet's family and of `inet`, in the order of their
 * priorities. Knows nothing of Services: the rules are all that it looks at. Throws a TraceError for what is no packet.
 */
export function traceRuleset(ruleset: NftRuleset, question: TraceQuestion): Trace {
  const rules = hookedRuleset(ruleset)
  const family = question.packet.destination.includes(':') ? 'IPv6' : 'IPv4'
  return tracePacket(question, (context) => rules.rulesIn(context, family))
}

/** The same rules for a walk, alone or together with other listings. */
export function hookedRuleset(ruleset: NftRuleset): HookedRules {
  const tables = walkedTables(ruleset)
  const system = systemOf(tables)
  return new HookedRules({
    tables: [...tables.keys()],
    rulesIn(context, family) {
      noteWhatIsNotFollowed(ruleset, context)
      const chains = [...tables.values()].flatMap((walked): readonly BaseChain[] => {
        const { table } = walked
        if (table.flags.includes('dormant')) return []
        if (table.family !== 'inet' && table.family !== (family === 'IPv6' ? 'ip6' : 'ip')) return []
        return table.chains.flatMap((chain) => baseChainOf(walked, chain, { system, context }) ?? [])
      })
      // Of chains at one hook with equal priorities, the kernel asks the newest first (net/netfilter/core.c).
      return { chains: chains.toReversed() }
    },
  })
}

interface Walk {
  readonly system: RuleSystem<NftRule>
  readonly context: WalkContext
}

function baseChainOf(
  { name: table, table: of }: WalkedTable,
  { name, base, rules }: NftChain,
  walk: Walk,
): BaseChain | undefined {
  const hook = HOOKS[base?.hook ?? '']
  if (base === undefined || hook === undefined) return undefined
  const place = { table, chain: name, hook, depth: 0, trail: [name] }
  return {
    hook,
    priority: base.priority,
    isNat: base.type === 'nat',
    table,
    chain: name,
    rules: rules.length,
    policy: base.policy === 'drop' ? 'DROP' : 'ACCEPT',
    walk: (way) => walkChain(walk, place, way),
    ...(isOfIptables(of, { name, base }) && { ofIptables: { table: of.name } }),
  }
}

/** iptables-nft has its tables under their names, with the chains that the kernel has for iptables-legacy. */
function isOfIptables({ family, name: table }: NftTable, { name, base }: Pick<NftChain, 'name' | 'base'>): boolean {
  if (base === undefined || family === 'inet' || name !== HOOKS[base.hook]) return false
  const priority = base.hook === 'postrouting' || base.hook === 'input' ? SOURCE_NAT : DESTINATION_NAT
  return (
    base.priority === (table === 'nat' ? priority : IPTABLES_PRIORITIES[table]) &&
    (base.type === 'nat') === (table === 'nat')
  )
}

const DESTINATION_NAT = -100
const SOURCE_NAT = 100
const IPTABLES_PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 }

const HOOKS: Readonly<Record<string, Hook>> = {
  prerouting: 'PREROUTING',
  input: 'INPUT',
  forward: 'FORWARD',
  output: 'OUTPUT',
  postrouting: 'POSTROUTING',
}

function systemOf(tables: ReadonlyMap<string, WalkedTable>): RuleSystem<NftRule> {
  const told = new Map<NftRule, TracedRule>()
  return {
    rulesOf: (table, chain) => tables.get(table)?.chains.get(chain)?.rules,
    failsPlainly: () => false,
    nearlyMatches: () => false,
    tell(chain, rule) {
      const known = told.get(rule) ?? toldRule(chain, rule)
      told.set(rule, known)
      return known
    },
    meet(rule, meeting) {
      const table = tables.get(meeting.place.table)
      if (table === undefined) throw new Error('a rule is of a table')
      return meetRule(table, rule, meeting)
    },
  }
}

/** Chains of bridges and devices see frames before and after all others. */
function noteWhatIsNotFollowed({ tables }: NftRuleset, { assume }: WalkContext): void {
  for (const { family, name, chains, flags } of tables) {
    if (flags.includes('dormant')) continue
    for (const { name: chain, base, rules } of chains) {
      const isOther = family === 'bridge' || family === 'netdev' || HOOKS[base?.hook ?? ''] === undefined
      if (base === undefined || rules.length === 0 || !isOther || family === 'arp') continue
      const message = `the chain ${chain} of ${family} ${name} (${base.hook}) is not followed: it is taken to let the packet go on as it is`
      assume({ code: 'CHAIN_NOT_FOLLOWED', message })
    }
  }
}

/** The sets in which rules remember clients, each with the endpoint that those in it are sent to. */
export const affinityListsOf = ({ tables }: NftRuleset): readonly AffinityList[] =>
  tables.flatMap((table) => [...dynamicSets(table)].map((list) => ({ list, leadsTo: endpointBehind(table, list) })))

/** A chain that puts senders into the set translates them to the endpoint. */
function endpointBehind({ chains }: NftTable, set: string): string | undefined {
  for (const { rules } of chains) {
    const isOfSet = rules.some(({ statements }) => statements.some((one) => one.type === 'update' && one.set === set))
    if (!isOfSet) continue
    for (const { statements } of rules) {
      const nat = statements.find((one): one is Extract<Statement, { type: 'nat' }> => one.type === 'nat')
      if (nat?.address?.type !== 'literal' || nat.port?.type !== 'literal') continue
      const { value } = nat.address
      return `${String(value).includes(':') ? `[${value}]` : value}:${nat.port.value}`
    }
  }
  return undefined
}
