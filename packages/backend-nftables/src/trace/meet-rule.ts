import {
  type Assumption,
  bothOdds,
  CERTAIN,
  type Condition,
  type Effect,
  isCertain,
  isImpossible,
  type Odds,
  otherOdds,
} from '@pointsman/core'
import {
  ALL_BITS,
  type Claim,
  type Evaluated,
  evaluateInCases,
  type Finding,
  type Judged,
  type Meeting,
  type Met,
  type PacketState,
  truthIn,
} from '@pointsman/core/trace'
import { applyNat } from './apply-nat.js'
import { aboutOf, keyTold, partMissing } from './conditions.js'
import { judgeMatch, type Match } from './judge-match.js'
import { formatExpression, formatStatement } from '../listing/format.js'
import type { Expression, NftElement, NftRule, Statement } from '../listing/model.js'
import { chanceIn, indexOf, keyOf, lookUp } from './look-up.js'
import { NO_ELEMENTS, type WalkedTable } from './nft-tables.js'
import { markOf, valueOf } from './read-packet.js'
import { claimOf } from './values.js'

/** What becomes of a packet that meets a rule: its statements one after the other, in each case and with each outcome of chance. */
export function meetRule(table: WalkedTable, rule: NftRule, meeting: Meeting): readonly Met[] {
  const { context, way } = meeting
  const { effort, surroundings } = context
  const cost = rule.statements.length
  effort.judged(cost, way.packet)
  const cases = evaluateInCases<readonly Branch[]>(
    way.when,
    (supposed) =>
      new RuleRun(table, { rule, meeting, judged: { packet: way.packet, surroundings, supposed } }).branches(),
    {
      keyOf: (branches) =>
        JSON.stringify(
          branches.map(({ effect, packet, odds }) => [
            effect,
            packet,
            String(odds.numerator),
            odds.twos,
            String(odds.others),
          ]),
        ),
      spend: (asked) => effort.judgedInCases(cost, asked),
    },
  )
  return cases.flatMap(({ value, when }) =>
    value.map((branch): Met => {
      const isParted = !isCertain(branch.odds)
      return {
        when,
        packet: branch.packet,
        effect: branch.effect,
        conditions: branch.conditions,
        ...(isParted && { chance: branch.odds }),
        isParted,
        assumptions: branch.assumptions,
      }
    }),
  )
}

/** A packet at a statement of a rule, or behind the rule. */
interface Branch {
  readonly at: number
  readonly odds: Odds
  readonly packet: PacketState
  readonly conditions: readonly Condition[]
  readonly assumptions: readonly Assumption[]
  /** Undefined: the rule does not match, or is not at its end. */
  readonly effect: Effect | undefined
  readonly isDone: boolean
}

interface RunInput {
  readonly rule: NftRule
  readonly meeting: Meeting
  readonly judged: Judged
}

type Step = { readonly branches: readonly Branch[] } | { readonly unknown: Claim }

/** A rule in one case of unknown facts. */
class RuleRun {
  readonly #table: WalkedTable
  readonly #rule: NftRule
  readonly #meeting: Meeting
  readonly #judged: Judged

  constructor(table: WalkedTable, { rule, meeting, judged }: RunInput) {
    this.#table = table
    this.#rule = rule
    this.#meeting = meeting
    this.#judged = judged
  }

  branches(): Evaluated<readonly Branch[]> {
    const { packet } = this.#judged
    const start: Branch = {
      at: 0,
      odds: CERTAIN,
      packet,
      conditions: [],
      assumptions: [],
      effect: undefined,
      isDone: false,
    }
    const done: Branch[] = []
    const waiting = [start]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const statement = this.#rule.statements[next.at]
      if (next.isDone) {
        done.push(next)
        continue
      }
      if (statement === undefined) {
        done.push({ ...next, effect: this.#effectAtEnd(next), isDone: true })
        continue
      }
      const step = this.#step(statement, next)
      if ('unknown' in step) return step
      for (const branch of step.branches.toReversed()) waiting.push(branch)
    }
    return { value: done }
  }

  #effectAtEnd({ packet }: Branch): Effect {
    const { packet: before } = this.#judged
    if (packet.tracking !== before.tracking) return { type: 'untracked' }
    if (packet.mark !== before.mark) return { type: 'mark', from: before.mark.value, to: packet.mark.value }
    const [last] = this.#rule.statements.filter(({ type }) => type !== 'match' && type !== 'counter').toReversed()
    return { type: 'continue', what: last === undefined ? 'no target' : formatStatement(last) }
  }

  #judgedAt = ({ packet }: Branch): Judged => ({ ...this.#judged, packet })

  #step(statement: Statement, branch: Branch): Step {
    const next: Branch = { ...branch, at: branch.at + 1 }
    switch (statement.type) {
      case 'match':
        return this.#match(statement, next)
      case 'limit': {
        const isOver = statement.text.includes('over ')
        const message = 'the packet is taken to be the first that a limit counts, and so within it'
        return this.#condition(statement, next, {
          holds: !isOver,
          because: 'it is taken to be within the limit',
          assumption: { code: 'RATE_LIMIT', message },
        })
      }
      case 'opaque':
        return this.#condition(statement, next, claimOf(`${statement.text} holds`, 'MATCH', this.#judged.supposed))
      case 'xt':
        if (HARMLESS_XT.has(statement.name)) return { branches: [next] }
        return /^[A-Z]/.test(statement.name)
          ? this.#handOver(formatStatement(statement), next)
          : this.#condition(
              statement,
              next,
              claimOf(`${formatStatement(statement)} matches`, 'MATCH', this.#judged.supposed),
            )
      case 'verdict':
        return this.#end(next, this.#verdict(statement))
      case 'vmap':
        return this.#vmap(statement, next)
      case 'assign':
        return this.#assign(statement, next)
      case 'update':
        return this.#update(statement, next)
      case 'counter':
      case 'aside':
        return { branches: [next] }
      case 'notrack': {
        // conntrack has seen a packet that comes back by lo: then it is too late.
        if (next.packet.tracking !== 'INVALID') return { branches: [next] }
        const { comment } = this.#rule
        const untrackedBy = comment === undefined ? this.#where : `${this.#where}, "${comment}",`
        return { branches: [{ ...next, packet: { ...next.packet, tracking: 'UNTRACKED', untrackedBy } }] }
      }
      case 'reject': {
        const usual = next.packet.family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable'
        return this.#end(next, { type: 'reject', with: statement.with ?? usual })
      }
      case 'queue': {
        const what = `the program that reads queue ${statement.queue}`
        return this.#decide({ subject: what, code: 'PROGRAM', text: `${what} lets it go on` }, (holds) =>
          this.#end(next, { type: 'hand-over', what, outcome: holds ? 'accept' : 'drop' }),
        )
      }
      case 'nat':
        return this.#nat(statement, next)
      case 'other':
        return this.#handOver(statement.text, next)
    }
  }

  get #where(): string {
    const { number, place } = this.#meeting
    return `rule ${number} of ${place.table} ${place.chain}`
  }

  #end(branch: Branch, effect: Effect): Step {
    return { branches: [{ ...branch, effect, isDone: true }] }
  }

  #decide(claim: Omit<Claim, 'low' | 'high'>, then: (holds: boolean) => Step): Step {
    const whole = { ...claim, low: '', high: '' }
    const truth = truthIn(this.#judged.supposed, whole)
    return truth === undefined ? { unknown: whole } : then(truth)
  }

  /** Something that is not known here: the packet goes on as it is, or nobody knows what becomes of it. */
  #handOver(what: string, branch: Branch): Step {
    const claim = { subject: `${what} ${this.#where}`, code: 'TARGET' as const, text: `${what} lets it go on as it is` }
    return this.#decide(claim, (holds) =>
      holds ? { branches: [branch] } : this.#end(branch, { type: 'hand-over', what, outcome: 'end' }),
    )
  }

  #verdict({ verdict, chain }: { readonly verdict: string; readonly chain?: string }): Effect {
    switch (verdict) {
      case 'jump':
      case 'goto':
        return { type: verdict, chain: chain ?? '', rules: this.#table.chains.get(chain ?? '')?.rules.length ?? 0 }
      case 'accept':
      case 'drop':
      case 'return':
        return { type: verdict }
      default:
        return { type: 'continue', what: verdict }
    }
  }

  /** A condition that holds, or ends the rule; where it is unknown and matters, it has to be decided first. */
  #condition(statement: Statement, branch: Branch, finding: Finding): Step {
    const condition: Condition = {
      ...aboutOf(statement, branch.packet),
      text: formatStatement(statement),
      holds: finding.holds,
      because: finding.because,
      assumed: finding.assumption !== undefined,
      ...(finding.supposed === true && { supposed: true }),
    }
    if (finding.unknown !== undefined) {
      const rest = this.#rule.statements.slice(branch.at)
      const failing = this.#failingLater(rest, branch)
      if (failing !== undefined) return failing
      if (!rest.every(isIdle)) return { unknown: finding.unknown }
      return { branches: [{ ...branch, conditions: [...branch.conditions, { ...condition, open: true }] }] }
    }
    const assumptions =
      finding.assumption === undefined ? branch.assumptions : [...branch.assumptions, finding.assumption]
    const next = { ...branch, conditions: [...branch.conditions, condition] }
    if (!finding.holds) {
      // What fails by an assumption may fail by what is known as well: then nothing was assumed.
      const failing = finding.assumption && this.#failingLater(this.#rule.statements.slice(branch.at), branch)
      return failing ?? { branches: [{ ...next, assumptions, isDone: true }] }
    }
    if (finding.odds === undefined || isCertain(finding.odds)) return { branches: [{ ...next, assumptions }] }
    if (isImpossible(finding.odds)) return { branches: [{ ...next, isDone: true }] }
    return {
      branches: [
        { ...next, assumptions, odds: bothOdds(branch.odds, finding.odds) },
        { ...next, assumptions, odds: bothOdds(branch.odds, otherOdds(finding.odds)), isDone: true },
      ],
    }
  }

  /** A rule whose later conditions fail by what is known fails, whatever this one comes to. */
  #failingLater(rest: readonly Statement[], branch: Branch): Step | undefined {
    for (const statement of rest) {
      if (statement.type === 'counter' || statement.type === 'aside') continue
      if (statement.type !== 'match') return undefined
      const finding = this.#judge(statement, branch)
      if (finding.holds || finding.unknown !== undefined || finding.assumption !== undefined) continue
      const condition: Condition = {
        ...aboutOf(statement, branch.packet),
        text: formatStatement(statement),
        holds: false,
        because: finding.because,
        assumed: false,
      }
      return { branches: [{ ...branch, conditions: [...branch.conditions, condition], isDone: true }] }
    }
    return undefined
  }

  #match(statement: Match, branch: Branch): Step {
    return this.#condition(statement, branch, this.#judge(statement, branch))
  }

  #judge = (statement: Match, branch: Branch): Finding =>
    judgeMatch(statement, { table: this.#table, judged: this.#judgedAt(branch) })

  #elementsOf(map: Expression): readonly NftElement[] {
    if (map.type === 'set') return map.elements
    return map.type === 'reference' ? (this.#table.sets.get(map.name)?.elements ?? NO_ELEMENTS) : NO_ELEMENTS
  }

  #vmap(statement: Extract<Statement, { readonly type: 'vmap' }>, branch: Branch): Step {
    return this.#mapped(statement, branch, (element, next) =>
      element.data?.type === 'verdict' ? this.#end(next, this.#verdict(element.data)) : { branches: [next] },
    )
  }

  /** Each element that a map can lead to; where it leads to none, the rule does not match. */
  #mapped(
    { key, map, in: statement }: { readonly key: Expression; readonly map: Expression; readonly in?: Statement },
    branch: Branch,
    then: (element: NftElement, next: Branch) => Step,
  ): Step {
    const value = valueOf(key, this.#judgedAt(branch))
    const text =
      statement === undefined ? `${formatExpression(key)} vmap ${formatExpression(map)}` : formatStatement(statement)
    const about = aboutOf({ type: 'vmap', key, map }, branch.packet)
    const because = partMissing(value)
    if (because !== undefined)
      return {
        branches: [
          {
            ...branch,
            conditions: [...branch.conditions, { ...about, text, holds: false, because, assumed: false }],
            isDone: true,
          },
        ],
      }
    const found = lookUp(value, indexOf(this.#elementsOf(map)), this.#judged.supposed)
    if ('unknown' in found) return found
    const assumption = chanceIn(value)?.assumption
    const branches: Branch[] = []
    for (const { element, odds } of found.found) {
      const holds = element !== undefined
      const told =
        chanceIn(value) === undefined ? `${keyTold(value)} ${holds ? 'is in it' : 'is not in it'}` : 'chance decides'
      const condition: Condition = { ...about, text, holds, because: told, assumed: false }
      const next: Branch = {
        ...branch,
        odds: isCertain(odds) ? branch.odds : bothOdds(branch.odds, odds),
        conditions: [...branch.conditions, condition],
        assumptions: assumption === undefined ? branch.assumptions : [...branch.assumptions, assumption],
        isDone: !holds,
      }
      const step = element === undefined ? { branches: [next] } : then(element, next)
      if ('unknown' in step) return step
      branches.push(...step.branches)
    }
    return { branches }
  }

  #assign(statement: Extract<Statement, { readonly type: 'assign' }>, branch: Branch): Step {
    const { to, value } = statement
    if (to.type === 'field' && ADDRESSING.has(to.name)) return this.#handOver(formatStatement(statement), branch)
    const isMark = (to.type === 'meta' || to.type === 'ct') && to.key === 'mark'
    if (!isMark) return { branches: [branch] }
    const set = (of: Expression, next: Branch): Step => {
      const found = markOf(valueOf(of, this.#judgedAt(next)))
      const mark = found ?? { value: 0, unknown: ALL_BITS, of: `the mark that ${formatExpression(of)} gives it` }
      const { packet } = next
      if (to.type === 'meta') return { branches: [{ ...next, packet: { ...packet, mark } }] }
      const isTracked = packet.tracking === 'NEW' || packet.tracking === 'ESTABLISHED'
      return { branches: [isTracked ? { ...next, packet: { ...packet, connectionMark: mark } } : next] }
    }
    if (value.type !== 'map') return set(value, branch)
    return this.#mapped({ key: value.key, map: value.map, in: statement }, branch, (element, next) =>
      set(element.data ?? { type: 'literal', value: 0 }, next),
    )
  }

  #update(statement: Extract<Statement, { readonly type: 'update' }>, branch: Branch): Step {
    const value = valueOf(statement.element.key, this.#judgedAt(branch))
    const missing = partMissing(value)
    if (missing !== undefined) return { branches: [{ ...branch, isDone: true }] }
    const element = keyOf(value) ?? keyTold(value)
    const set = `${this.#table.name} ${statement.set}`
    const change = { set, element, isIn: statement.operation !== 'delete' }
    const kept = branch.packet.setChanges.filter((one) => one.set !== set || one.element !== element)
    const next: Branch = { ...branch, packet: { ...branch.packet, setChanges: [change, ...kept] } }
    const condition = statement.statements.find(({ type }) => type === 'limit' || type === 'opaque')
    return condition === undefined ? { branches: [next] } : this.#step(condition, { ...next, at: next.at - 1 })
  }

  #nat(statement: Extract<Statement, { readonly type: 'nat' }>, branch: Branch): Step {
    const { family, address } = statement
    // net/netfilter/nft_nat.c: in tables of both families, it is for packets of its own.
    if (family !== undefined && (family === 'ip') !== (branch.packet.family === 'IPv4')) return { branches: [branch] }
    if (address?.type !== 'map') return this.#translated(statement, { address, port: statement.port }, branch)
    return this.#mapped({ key: address.key, map: address.map, in: statement }, branch, ({ data }, next) => {
      const [to, port] = data?.type === 'concat' ? data.parts : [data, statement.port]
      return this.#translated(statement, { address: to, port }, next)
    })
  }

  #translated(
    statement: Extract<Statement, { readonly type: 'nat' }>,
    { address, port }: { readonly address: Expression | undefined; readonly port: Expression | undefined },
    branch: Branch,
  ): Step {
    const { packet } = branch
    const { surroundings, supposed } = this.#judged
    const place = { packet, surroundings, supposed, hook: this.#meeting.place.hook, where: this.#where }
    const applied = applyNat(statement, { address, port }, place)
    if ('unknown' in applied) return applied
    const { effect, packet: after, assumptions } = applied.value
    return this.#end({ ...branch, packet: after, assumptions: [...branch.assumptions, ...assumptions] }, effect)
  }
}

const ADDRESSING: ReadonlySet<string> = new Set(['saddr', 'daddr', 'sport', 'dport'])

/** Matches and targets of iptables that decide nothing. */
const HARMLESS_XT: ReadonlySet<string> = new Set([
  'comment',
  'LOG',
  'NFLOG',
  'CHECKSUM',
  'TCPMSS',
  'TRACE',
  'DSCP',
  'TOS',
])

const isIdle = ({ type }: Statement): boolean => type === 'counter' || type === 'aside'
