import type { Json } from '@pointsman/core'
import type { Element, Table } from '../table/table.js'
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
          ...(declaration.kind === 'map' && { data: declaration.data ?? ['verdict'] }),
          flags: declaration.timeoutSeconds === undefined ? [] : ['dynamic', 'timeout'],
          ...(declaration.timeoutSeconds !== undefined && { timeoutSeconds: declaration.timeoutSeconds }),
          elements: [...elements.values()].map(({ key, verdict, data, comment }) => ({
            key: expressionOf(inParts(key)),
            ...(verdict && { data: expressionOf(verdict) }),
            ...(data && { data: expressionOf(inParts(data)) }),
            ...(comment !== undefined && { comment }),
          })),
        })),
        objects: [],
      },
    ],
  }
}

/** One value, or several that are one key. */
const inParts = (parts: Element['key']): Json => (parts.length === 1 ? (parts[0] ?? '') : { concat: parts })

const PLANNED = 'kube-proxy'
