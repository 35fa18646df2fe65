import type { IpFamily } from '../model/address.js'
import type { ServicePortName } from '../model/names.js'
import { CERTAIN, oneIn } from '../model/odds.js'
import {
  RuleTextError,
  type AuditFinding,
  type FindingKind,
  type LoadedRules,
  type RuleItem,
} from '../ports/dataplane.js'
import { TraceError, type TraceQuestion } from '../ports/trace-question.js'
import type { Trace, Way } from '../ports/trace.js'

/**
 * One line: `add fronts TCP 10.96.0.10 80 goto to-shop-cart-http-TCP-IPv4` leads a front to a service port's own chain (or has
 * `refuse` in place of `goto ...`), and `add to-shop-cart-http-TCP-IPv4 10.244.1.5:8080` spreads over its endpoints.
 */
export class ToyItem implements RuleItem {
  readonly table = 'toy'
  readonly chain: string
  readonly text: string
  readonly owner: ServicePortName | undefined
  readonly share: number | undefined

  constructor(item: Pick<RuleItem, 'chain' | 'text' | 'owner' | 'share'>) {
    this.chain = item.chain
    this.text = item.text
    this.owner = item.owner
    this.share = item.share
  }

  get line(): string {
    return `add ${this.chain} ${this.text}`
  }

  get identity(): string {
    return this.text
  }

  get bareIdentity(): string {
    return this.text
  }

  equals(other: RuleItem): boolean {
    return this.line === other.line && this.share === other.share
  }
}

export function parseItem(text: string): ToyItem {
  const [, chain, rest] = /^(?:add )?(\S+) (\S.*)$/.exec(text.trim()) ?? []
  if (chain === undefined || rest === undefined)
    throw new RuleTextError(`${JSON.stringify(text)} is no item of the toy: paste a line such as 'add fronts ...'`)
  return new ToyItem({ chain, text: rest, owner: undefined, share: undefined })
}

/** Lines that a toy has loaded. */
export class ToyRules implements LoadedRules {
  readonly family: undefined
  readonly items: readonly RuleItem[]

  constructor(items: readonly RuleItem[]) {
    this.items = items
  }

  get count(): number {
    return this.items.length
  }
}

export function itemsOf(rules: LoadedRules): readonly RuleItem[] {
  if (rules instanceof ToyRules) return rules.items
  throw new TypeError('these rules are not of the toy')
}

/** What an audit of a toy can find. */
export const TOY_FINDINGS: Readonly<Record<string, FindingKind>> = {
  MISSING_LINE: { meaning: 'the line is not there', nouns: ['missing line', 'missing lines'], cause: 'made' },
  EXTRA_LINE: { meaning: 'the line should not be there', nouns: ['extra line', 'extra lines'], cause: 'removed' },
}

/** Lines that are there and should not be, or the other way round. */
export function auditToy(
  found: readonly RuleItem[],
  wanted: readonly RuleItem[],
  family: IpFamily,
): readonly AuditFinding[] {
  const without = (items: readonly RuleItem[], others: readonly RuleItem[]): readonly RuleItem[] =>
    items.filter(({ line }) => others.every((other) => other.line !== line))
  const finding = (type: string, { table, chain, owner }: RuleItem): Omit<AuditFinding, 'expected' | 'found'> => ({
    type,
    family,
    table,
    chain,
    ...(owner !== undefined && { owner }),
  })
  return [
    ...without(wanted, found).map((item) => ({ ...finding('MISSING_LINE', item), expected: [item] })),
    ...without(found, wanted).map((item) => ({ ...finding('EXTRA_LINE', item), found: [item] })),
  ]
}

/** To the front that has the packet's destination, and from there to one of its endpoints, by equal chances. */
export function traceToy(items: readonly RuleItem[], { packet }: TraceQuestion): Trace {
  const { destination, destinationPort, protocol, source } = packet
  if (destination.includes(':') !== source.includes(':'))
    throw new TraceError('FAMILY_MISMATCH', `${source} and ${destination} are of different families`)
  const fronts = items.filter(({ chain }) => chain === 'fronts')
  const front = `${protocol.toUpperCase()} ${destination} ${destinationPort} `
  const at = fronts.findIndex(({ text }) => text.includes(` ${front}`))
  const rule = fronts[at]
  const target = rule && / goto (\S+)$/.exec(rule.text)?.[1]
  const place = { table: 'toy', chain: 'fronts', number: at + 1 }
  const told = ({ line, text, owner }: RuleItem) => {
    const [name] = /^[^/]+\/[^/]+/.exec(owner ?? '') ?? []
    const service = name === undefined ? undefined : ({ name, by: 'plan' } as const)
    return { line, match: text, comment: '', service, kind: 'line' }
  }
  const here = { odds: CERTAIN, conditions: [], depth: 0 }
  const seen = { rewritten: 'no', address: source } as const
  const wayTo = (item: RuleItem, count: number): Way => {
    const [, address = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(item.text) ?? []
    const to = { address, port: Number(port) }
    const odds = oneIn(count)
    return {
      odds,
      end: { fate: 'endpoints', ...to, source: seen },
      steps: [
        ...(rule === undefined
          ? []
          : [
              {
                type: 'rule',
                ...place,
                ...here,
                rule: told(rule),
                effect: { type: 'goto', chain: item.chain, rules: count },
              } as const,
            ]),
        {
          type: 'rule',
          ...here,
          table: 'toy',
          chain: item.chain,
          depth: 1,
          number: 1,
          odds,
          rule: told(item),
          effect: { type: 'dnat', ...to },
        },
      ],
    }
  }
  const endpoints = items.filter(({ chain }) => chain === target)
  const ways: readonly Way[] =
    rule === undefined
      ? [
          {
            odds: CERTAIN,
            end: { fate: 'no-service', address: destination, port: destinationPort, source: seen },
            steps: [],
          },
        ]
      : target === undefined
        ? [
            {
              odds: CERTAIN,
              end: { fate: 'rejected', with: 'refuse', by: place },
              steps: [
                { type: 'rule', ...place, ...here, rule: told(rule), effect: { type: 'reject', with: 'refuse' } },
              ],
            },
          ]
        : endpoints.map((item) => wayTo(item, endpoints.length))
  const fate = ways[0]?.end.fate ?? 'no-service'
  return {
    fate,
    fates: [{ fate, odds: CERTAIN }],
    endpoints: ways.flatMap(({ end, odds }) =>
      end.fate === 'endpoints' ? [{ address: end.address, port: end.port, odds, source: end.source }] : [],
    ),
    ways,
    assumptions: [],
  }
}
