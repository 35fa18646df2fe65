import type { RuleService, TracedRule } from '@pointsman/core'
import { formatExpression, formatRule, formatStatement } from '../listing/format.js'
import type { NftChain, NftElement, NftRule, NftRuleset, NftSet, NftTable, Statement } from '../listing/model.js'

/** A table as a walk goes through it. */
export interface WalkedTable {
  readonly table: NftTable
  /** `ip kube-proxy` */
  readonly name: string
  readonly chains: ReadonlyMap<string, NftChain>
  readonly sets: ReadonlyMap<string, NftSet>
  /** The sets that packets are put into. */
  readonly dynamic: ReadonlySet<string>
}

/** By name: `ip kube-proxy`. */
export const walkedTables = ({ tables }: NftRuleset): ReadonlyMap<string, WalkedTable> =>
  new Map(
    tables.map((table) => {
      const name = `${table.family} ${table.name}`
      const chains = new Map(table.chains.map((chain) => [chain.name, chain]))
      const sets = new Map(table.sets.map((set) => [set.name, set]))
      return [name, { table, name, chains, sets, dynamic: dynamicSets(table) }]
    }),
  )

/** The JSON of nft 1.0.6 does not flag them: they are what rules put elements into. */
export function dynamicSets({ sets, chains }: NftTable): ReadonlySet<string> {
  const flagged = sets.filter(({ flags }) => flags.includes('dynamic')).map(({ name }) => name)
  const updated = chains.flatMap(({ rules }) =>
    rules.flatMap(({ statements }) => statements.flatMap((one) => (one.type === 'update' ? [one.set] : []))),
  )
  return new Set([...flagged, ...updated])
}

/** A rule of a chain in nft's words. */
export function toldRule(chain: string, rule: NftRule): TracedRule {
  const { statements, comment = '' } = rule
  const text = formatRule(rule)
  const asks = statements.filter(({ type }) => CONDITIONS.has(type)).map(shortText)
  const service = serviceOfChain(chain) ?? serviceNamedIn(comment)
  return {
    line: comment === '' ? text : `${text} comment "${comment}"`,
    match: asks.length === 0 ? 'any packet' : asks.join(' '),
    comment,
    ...(service && { service }),
    kind: statements.map(({ type }) => type).join(' '),
  }
}

/** Which chain each number leads to is a line for each endpoint. */
const shortText = (statement: Statement): string =>
  statement.type === 'vmap' && statement.map.type === 'set' && statement.map.elements.length > MOST_TOLD
    ? `${formatExpression(statement.key)} vmap { ${statement.map.elements.length} elements }`
    : formatStatement(statement)

const MOST_TOLD = 1

const CONDITIONS: ReadonlySet<string> = new Set(['match', 'vmap', 'limit', 'opaque', 'xt'])

/** `service-H6U4RGLG-default/sticky/tcp/http`, as kube-proxy names its chains. */
function serviceOfChain(chain: string): RuleService | undefined {
  const [, namespace, name, port = ''] =
    /^(?:service|external|firewall|endpoint)-[A-Z2-7]{8}-([^/]+)\/([^/]+)\/[a-z]+\/([^_]*?)(?:__.*)?$/.exec(chain) ?? []
  if (namespace === undefined || name === undefined) return undefined
  return { name: `${namespace}/${name}${port === '' ? '' : `:${port}`}`, by: 'comment' }
}

/** The service port that a comment of kube-proxy names: `shop/checkout:http`. */
function serviceNamedIn(comment: string): RuleService | undefined {
  const name = /(?<=^|\s)[\w.-]+\/[\w.-]+(?::[\w-]+)?/.exec(comment)?.[0]
  return name === undefined ? undefined : { name, by: 'comment' }
}

export const NO_ELEMENTS: readonly NftElement[] = []
