import type { ServicePortName } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { chainOf, isOurChain } from '../adapter/ownership.js'
import { OwnedRule } from '../render/owned-rules.js'
import type { TableFinding, FindingType } from './finding.js'
import { meaningOf } from './rule-meaning.js'

export interface ExpectedRule {
  readonly rule: Rule
  readonly meaning: string
  readonly owner: ServicePortName | undefined
  /** Of a shared chain: one that has to come after all others. */
  readonly isLast: boolean
}

export interface FoundRule {
  readonly rule: Rule
  readonly meaning: string
}

/** Large clusters leave comments out of rules in KUBE-SEP- chains, and of those that lead to them. */
export const meaningIn = (chain: string, rule: Rule): string =>
  meaningOf(rule, {
    comments: !chain.startsWith('KUBE-SEP-') && chainOf(rule)?.startsWith('KUBE-SEP-') !== true,
  })

export interface Compared {
  readonly expected?: ExpectedRule
  readonly found?: FoundRule
  /** Whose the chain is, where it is one service port's. */
  readonly owner?: ServicePortName | undefined
}

export function findingOf(
  type: FindingType,
  { table, chain }: Pick<TableFinding, 'table' | 'chain'>,
  { expected, found, owner = expected?.owner }: Compared,
): TableFinding {
  const claims =
    owner === undefined && expected === undefined && found !== undefined ? claimOf([found.rule]) : undefined
  return {
    type,
    table,
    chain,
    ...(owner !== undefined && { owner }),
    ...(claims !== undefined && { claims }),
    ...(expected !== undefined && {
      expected: [new OwnedRule({ table, chain, rule: expected.rule, owner: expected.owner })],
    }),
    ...(found !== undefined && { found: [foundRule({ table, chain }, found.rule)] }),
  }
}

/** A rule that is there, whoever made it. */
export const foundRule = ({ table, chain }: Pick<TableFinding, 'table' | 'chain'>, rule: Rule): OwnedRule =>
  new OwnedRule({ table, chain, rule, owner: undefined })

/** Rules of a proxy lead to its chains, or say in their comment whose they are. */
export function extraType(rule: Rule): 'LEFT_OVER_RULE' | 'FOREIGN_RULE' {
  const chain = chainOf(rule)
  const isProxys = (chain !== undefined && isOurChain(chain)) || claimOf([rule]) !== undefined
  return isProxys ? 'LEFT_OVER_RULE' : 'FOREIGN_RULE'
}

/** Which service port the first comment that names one names: `namespace/name:port`. Those of KUBE-XLB- name it late. */
export function claimOf(rules: readonly Rule[]): string | undefined {
  for (const rule of rules) {
    const [, name] = /(?:^|^\S.* for )([^ /]+\/[^ :]+(?::[^ ]+)?)(?: |$)/.exec(commentOf(rule) ?? '') ?? []
    if (name !== undefined) return name
  }
  return undefined
}

export const commentOf = ({ matches }: Rule): string | undefined => {
  const match = matches.find(({ type }) => type === 'comment')
  return match?.type === 'comment' ? match.comment : undefined
}
