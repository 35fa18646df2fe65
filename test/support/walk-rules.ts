import { assertNever, cidrContains, parseAddress, parseCidr } from '@pointsman/core'
import type { Match, Rule, SavedTable } from 'node-iptables'

/** The first packet of a connection, where it meets the rules. */
export interface WalkedPacket {
  readonly protocol: string
  readonly source: string
  readonly destination: string
  readonly port: number
  /** By which interface it arrives; a packet of the node itself arrives by none. */
  readonly interface: string | undefined
  /** The node itself sends it. */
  readonly own: boolean
}

/** What becomes of it, with what odds. */
export interface Outcome {
  readonly odds: number
  readonly fate: 'dropped' | 'rejected' | 'untouched' | { readonly address: string; readonly port: number }
  readonly masqueraded: boolean
}

export interface Surroundings {
  readonly tables: readonly SavedTable[]
  readonly isOwnAddress: (address: string) => boolean
}

/**
 * Sends a packet through saved rules as the kernel does: nat, then filter, then nat again, by the hooks that are on its
 * way. Knows what the rules of a proxy are made of, and throws at anything else. Written for tests: it reads every rule.
 */
export function walk(packet: WalkedPacket, { tables, isOwnAddress }: Surroundings): readonly Outcome[] {
  const chains = new Map(
    tables.flatMap(({ table, chains: ofTable }) =>
      ofTable.map(({ chain, rules }) => [`${table} ${chain}`, rules.map(({ rule }) => rule)] as const),
    ),
  )
  const walker: Walker = { chains, isOwnAddress }
  const start: Step = { ...packet, odds: 1, mark: 0, translated: false }
  return through(walker, 'nat', packet.own ? 'OUTPUT' : 'PREROUTING', start).flatMap(({ step }) => {
    const hooks = isOwnAddress(step.destination) ? ['INPUT'] : packet.own ? [] : ['FORWARD']
    return filtered(walker, packet.own ? ['OUTPUT', ...hooks] : hooks, step)
  })
}

interface Walker {
  readonly chains: ReadonlyMap<string, readonly Rule[]>
  readonly isOwnAddress: (address: string) => boolean
}

interface Step extends WalkedPacket {
  readonly odds: number
  readonly mark: number
  readonly translated: boolean
}

interface Result {
  readonly step: Step
  readonly verdict: 'return' | 'ACCEPT' | 'DROP' | 'REJECT' | 'DNAT' | 'MASQUERADE'
}

function filtered(walker: Walker, hooks: readonly string[], step: Step): readonly Outcome[] {
  const [hook, ...rest] = hooks
  if (hook === undefined) return arrived(walker, step)
  return through(walker, 'filter', hook, step).flatMap(({ step: after, verdict }) => {
    if (verdict === 'DROP') return [{ odds: after.odds, fate: 'dropped', masqueraded: false }]
    if (verdict === 'REJECT') return [{ odds: after.odds, fate: 'rejected', masqueraded: false }]
    return filtered(walker, rest, after)
  })
}

const arrived = (walker: Walker, step: Step): readonly Outcome[] =>
  through(walker, 'nat', 'POSTROUTING', step).map(({ step: after, verdict }) => ({
    odds: after.odds,
    fate: after.translated ? { address: after.destination, port: after.port } : 'untouched',
    masqueraded: verdict === 'MASQUERADE',
  }))

function through(walker: Walker, table: string, chain: string, start: Step): readonly Result[] {
  const rules = walker.chains.get(`${table} ${chain}`)
  if (rules === undefined) throw new Error(`a jump to ${table} ${chain}, which is not there`)
  const results: Result[] = []
  let steps: readonly Step[] = [start]
  for (const rule of rules) {
    const goOn: Step[] = []
    for (const step of steps) {
      const odds = oddsOf(rule, step, walker)
      if (odds < 1) goOn.push({ ...step, odds: step.odds * (1 - odds) })
      if (odds === 0) continue
      for (const result of targeted(walker, table, rule, { ...step, odds: step.odds * odds })) {
        if (result.verdict === 'return') goOn.push(result.step)
        else results.push(result.verdict === 'RETURN' ? { ...result, verdict: 'return' } : result)
      }
    }
    steps = goOn
  }
  return [...results, ...steps.map((step): Result => ({ step, verdict: 'return' }))]
}

function targeted(
  walker: Walker,
  table: string,
  { target }: Rule,
  step: Step,
): readonly (Result | { readonly step: Step; readonly verdict: 'RETURN' })[] {
  if (target === undefined) return [{ step, verdict: 'return' }]
  switch (target.type) {
    case 'jump': {
      const { chain } = target
      if (chain === 'ACCEPT' || chain === 'DROP' || chain === 'RETURN') return [{ step, verdict: chain }]
      return through(walker, table, chain, step)
    }
    case 'REJECT':
      return [{ step, verdict: 'REJECT' }]
    case 'MARK':
      return [{ step: { ...step, mark: ((step.mark & ~target.mask) ^ target.value) >>> 0 }, verdict: 'return' }]
    case 'DNAT': {
      const [, bracketed, bare, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(target.to) ?? []
      const to = { destination: bracketed ?? bare ?? '', port: Number(port), translated: true }
      return [{ step: { ...step, ...to }, verdict: 'DNAT' }]
    }
    case 'MASQUERADE':
      return [{ step, verdict: 'MASQUERADE' }]
    case 'goto':
    case 'SNAT':
    case 'other':
      throw new Error(`no target of a proxy: ${target.type}`)
    default:
      return assertNever(target)
  }
}

function oddsOf(rule: Rule, step: Step, walker: Walker): number {
  const holds = [
    test(rule.source, ({ network }) => isIn(network, step.source)),
    test(rule.destination, ({ network }) => isIn(network, step.destination)),
    test(rule.inInterface, ({ name }) => isNamed(name, step.interface)),
    test(rule.protocol, ({ name }) => name === step.protocol),
  ]
  if (holds.includes(false)) return 0
  return rule.matches.reduce((odds, match) => odds * oddsOfMatch(match, step, walker), 1)
}

function oddsOfMatch(match: Match, step: Step, { isOwnAddress }: Walker): number {
  switch (match.type) {
    case 'comment':
    case 'nfacct':
      return 1
    case 'physdev':
      // No bridge is asked about: netfilter is not called for bridged packets here.
      return match.isIn?.negated === true ? 1 : 0
    case 'tcp':
    case 'udp':
    case 'sctp':
      if (match.type !== step.protocol) return 0
      return Number(test(match.destination, ({ first, last }) => first <= step.port && step.port <= last))
    case 'mark':
      return Number(test(match, ({ value, mask }) => (step.mark & mask) >>> 0 === value))
    case 'conntrack':
      return Number(test(match, ({ states }) => states.includes('NEW') || (step.translated && states.includes('DNAT'))))
    case 'addrtype':
      return Number(
        test(match.source, () => step.own || isOwnAddress(step.source)) &&
          test(match.destination, () => isOwnAddress(step.destination)),
      )
    case 'recent':
      // A client that was never here before.
      return Number(test(match, ({ operation }) => operation === 'set'))
    case 'statistic-random':
      return match.chances / 2 ** 31
    case 'statistic-nth':
    case 'other':
      throw new Error(`no match of a proxy: ${match.type}`)
    default:
      return assertNever(match)
  }
}

/** Absent: holds. */
function test<T extends { readonly negated: boolean }>(
  condition: T | undefined,
  holds: (condition: T) => boolean,
): boolean {
  return condition === undefined || holds(condition) !== condition.negated
}

function isIn(network: string, address: string): boolean {
  const cidr = parseCidr(network)
  const parsed = parseAddress(address)
  if (cidr === undefined || parsed === undefined)
    throw new Error(`not a network and an address: ${network}, ${address}`)
  return cidrContains(cidr, parsed)
}

const isNamed = (name: string, arrivedBy: string | undefined): boolean =>
  arrivedBy !== undefined && (name.endsWith('+') ? arrivedBy.startsWith(name.slice(0, -1)) : arrivedBy === name)
