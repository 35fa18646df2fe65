import { type Trace, TraceError, type TracedRule, type TraceQuestion } from '@pointsman/core'
import {
  type BaseChain,
  HookedRules,
  NFT_DEPTH,
  type PacketState,
  type RuleSystem,
  startOf,
  tracePacket as traceThrough,
  walkChain,
  type WalkContext,
} from '@pointsman/core/trace'
import { ipsetsIn } from './ip-sets.js'
import { ipvsIn } from './ipvs.js'
import { failsPlainly, judgeRule, nearlyMatches } from './judge-rule.js'
import { meetRule } from './meet-rule.js'
import { commentOf, ruleTablesOf, toldRule, type OwnedRule, type OwnedTable, type RuleTables } from './rule-tables.js'

/** A question with the rules: what iptables-save printed, of the packet's family, kube-proxy's rules or anybody's. */
export interface TablesQuestion extends TraceQuestion {
  readonly tables: readonly OwnedTable[]
}

/**
 * The way of a packet through rules, as the kernel goes it. Knows nothing of Services: the rules are all that it looks at. Throws
 * a TraceError for what is no packet, or no rules that a kernel would take.
 */
export function tracePacket({ tables, ...question }: TablesQuestion): Trace {
  const rules = hookedTables(tables)
  rules.check(question)
  const { family } = startOf(question.packet)
  return traceThrough(question, (context) => rules.rulesIn(context, family))
}

/** Tables for a walk, alone or together with other listings. `variant`: which iptables has them, if that is known. */
export function hookedTables(
  tables: readonly OwnedTable[],
  { variant = 'either', judged }: HookedOptions = {},
): HookedRules {
  const ruleTables = ruleTablesOf(tables)
  const system = systemOf(ruleTables)
  return new HookedRules({
    tables: tables.map(({ table }) => table),
    check({ packet, surroundings }) {
      checkFamily(tables, startOf(packet))
      // What is wrong with them is said also where no rule asks for one.
      ipsetsIn(surroundings)
    },
    rulesIn: (context) => ({
      chains: baseChainsOf(ruleTables, { system, context }).map((chain) => ({
        ...chain,
        ofIptables: { table: chain.table, listed: variant },
      })),
      missing: ['nat', 'filter'].filter((table) => !ruleTables.has(table)),
      otherProxy: ipvsIn(ruleTables, context.surroundings),
      missedNat: (packet) => unaskedRule(ruleTables, context, packet),
    }),
    ...(judged && { judged }),
  })
}

interface HookedOptions extends Partial<Pick<HookedRules, 'judged'>> {
  readonly variant?: 'nft' | 'legacy' | 'either'
}

/** The tables that are asked at each hook, with the kernel's priorities: raw, mangle, destination nat, filter, security, source nat. */
const HOOKS = {
  PREROUTING: { raw: -300, mangle: -150, nat: -100 },
  INPUT: { mangle: -150, filter: 0, security: 50, nat: 100 },
  FORWARD: { mangle: -150, filter: 0, security: 50 },
  OUTPUT: { raw: -300, mangle: -150, nat: -100, filter: 0, security: 50 },
  POSTROUTING: { mangle: -150, nat: 100 },
} as const satisfies { readonly [hook in BaseChain['hook']]: Readonly<Record<string, number>> }

interface Walk {
  readonly system: RuleSystem<OwnedRule>
  readonly context: WalkContext
}

function baseChainsOf(tables: RuleTables, walk: Walk): readonly BaseChain[] {
  const hooks = Object.keys(HOOKS) as readonly BaseChain['hook'][]
  return hooks.flatMap((hook) =>
    Object.entries(HOOKS[hook]).flatMap(([table, priority]): readonly BaseChain[] => {
      const found = tables.chain(table, hook)
      if (found === undefined) return []
      const place = { table, chain: hook, hook, depth: 0, trail: [hook] }
      return [
        {
          hook,
          priority,
          isNat: table === 'nat',
          table,
          rules: found.rules.length,
          policy: found.policy === 'DROP' ? 'DROP' : 'ACCEPT',
          walk: (way) => walkChain(walk, place, way),
        },
      ]
    }),
  )
}

const systemOf = (tables: RuleTables): RuleSystem<OwnedRule> => ({
  rulesOf: (table, chain) => tables.chain(table, chain)?.rules,
  failsPlainly: ({ rule }, packet) => failsPlainly(rule, packet),
  nearlyMatches: ({ rule }, packet) => nearlyMatches(rule, packet),
  tell: createTeller(),
  meet: (rule, meeting) => meetRule(tables, rule, meeting),
  deeper: (table) => ({
    code: 'JUMP_DEPTH',
    message: `chains of ${table} lead into each other more than ${NFT_DEPTH} deep, which nf_tables refuses: taken to be rules of iptables-legacy`,
  }),
})

/** Puts each rule into words once: many ways may meet it. */
function createTeller(): RuleSystem<OwnedRule>['tell'] {
  const told = new Map<OwnedRule, TracedRule>()
  return (chain, owned) => {
    const known = told.get(owned)
    if (known !== undefined) return known
    const rule = toldRule(chain, owned)
    told.set(owned, rule)
    return rule
  }
}

/** The first rule of nat that names the packet's destination and would match, in words. */
function unaskedRule(tables: RuleTables, { surroundings }: WalkContext, packet: PacketState): string {
  for (const { chain, rules } of tables.chains('nat')) {
    for (const [index, { rule }] of rules.entries()) {
      if (rule.destination === undefined || rule.destination.negated || rule.target === undefined) continue
      const { matches, unknown } = judgeRule(rule, { packet, surroundings, supposed: undefined })
      if (!matches || unknown !== undefined) continue
      const comment = commentOf(rule)
      return `: rule ${index + 1} of nat ${chain}${comment === '' ? '' : `, "${comment}",`} would match otherwise`
    }
  }
  return ''
}

/** Rules of the other family would match nothing, and an answer from them would be wrong. */
function checkFamily(tables: readonly OwnedTable[], { family, destination }: PacketState): void {
  for (const { chains } of tables) {
    for (const { rules } of chains) {
      for (const { rule } of rules) {
        const network = (rule.destination ?? rule.source)?.network
        if (network === undefined) continue
        const ofRule = network.includes(':') ? 'IPv6' : 'IPv4'
        if (ofRule === family) return
        const hint = family === 'IPv6' ? 'give what ip6tables-save prints' : 'give what iptables-save prints'
        throw new TraceError('OTHER_FAMILY', `the rules are ${ofRule}, and ${destination} is ${family}: ${hint}`)
      }
    }
  }
}
