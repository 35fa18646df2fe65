import type { Table } from '../table/table.js'
import { expressionOf, statementOf } from './read-json.js'
import type { NftFamily, NftRuleset } from './model.js'

/** A planned table as nft would list it. */
export function rulesetOfTable({ chains, sets }: Table, family: NftFamily): NftRuleset {
  return {
    tables: [
      {
        family,
        name: PLANNED,
        flags: [],
        chains: [...chains.values()].map(({ name, hook, rules }) => ({
          name,
          ...(hook && { base: { ...hook, policy: 'accept' as const } }),
          rules: rules.map(({ statements, comment }) => ({
            statements: statements.map(statementOf),
            ...(comment !== undefined && { comment }),
          })),
        })),
        sets: [...sets.values()].map(({ declaration, elements }) => ({
          kind: declaration.kind,
          name: declaration.name,
          key: declaration.key,
          flags: declaration.timeoutSeconds === undefined ? [] : ['dynamic', 'timeout'],
          ...(declaration.timeoutSeconds !== undefined && { timeoutSeconds: declaration.timeoutSeconds }),
          elements: [...elements.values()].map(({ key, verdict, comment }) => ({
            key: expressionOf(key.length === 1 ? (key[0] ?? '') : { concat: key }),
            ...(verdict && { data: expressionOf(verdict) }),
            ...(comment !== undefined && { comment }),
          })),
        })),
        objects: [],
      },
    ],
  }
}

const PLANNED = 'kube-proxy'
