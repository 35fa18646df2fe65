import {
  assertNever,
  parseServicePortName,
  type AuditedState,
  type AuditFinding,
  type FindingKind,
  type IpFamily,
  type LoadedRules,
  type PlanOptions,
  type ServicePortName,
} from '@pointsman/core'
import { loadedTable } from '../loaded-table.js'
import { layoutOf, plannedTable, planNftables } from '../plan/rule-plan.js'
import { elementValue, hookIdentity, ruleIdentity, setIdentity } from '../table/canonical.js'
import { NftItem, type ItemObject } from '../table/item.js'
import type { Chain, Element, SetContents, Table, TableName } from '../table/table.js'

/** What an audit can find, and what it means. A name is a contract: added, not renamed. */
export const AUDIT_FINDINGS = {
  NO_TABLE: {
    meaning: 'there is no table kube-proxy in this family: no packet is served',
    nouns: ['missing table', 'missing tables'],
    cause: 'none',
    comparesNothing: true,
  },
  OTHER_RELEASE: {
    meaning: 'a kube-proxy of another release wrote this table, in another layout: it was not compared',
    nouns: ['table of another release', 'tables of another release'],
    cause: 'none',
    comparesNothing: true,
  },
  MISSING_CHAIN: { meaning: 'the chain is missing', nouns: ['missing chain', 'missing chains'], cause: 'made' },
  MISSING_SET: { meaning: 'the set or map is missing', nouns: ['missing set', 'missing sets'], cause: 'made' },
  MISSING_RULE: { meaning: 'the rule is missing', nouns: ['missing rule', 'missing rules'], cause: 'made' },
  MISSING_ELEMENT: { meaning: 'the element is missing', nouns: ['missing element', 'missing elements'], cause: 'made' },
  CHANGED_CHAIN: {
    meaning: 'the chain is called at another hook or priority than expected',
    nouns: ['changed chain', 'changed chains'],
    cause: 'made',
  },
  CHANGED_SET: {
    meaning: 'the set or map is declared otherwise than expected',
    nouns: ['changed set', 'changed sets'],
    cause: 'made',
  },
  CHANGED_RULE: {
    meaning: 'the rule differs from the expected one',
    nouns: ['changed rule', 'changed rules'],
    cause: 'changed',
  },
  CHANGED_ELEMENT: {
    meaning: 'the element leads elsewhere than expected',
    nouns: ['changed element', 'changed elements'],
    cause: 'changed',
  },
  OUT_OF_ORDER: {
    meaning: 'the rules of the chain are in another order than expected',
    nouns: ['chain out of order', 'chains out of order'],
    cause: 'made',
  },
  LEFT_OVER_CHAIN: {
    meaning: 'a chain of a service port or endpoint that no longer exists',
    nouns: ['chain left over', 'chains left over'],
    cause: 'emptied',
  },
  LEFT_OVER_SET: {
    meaning: 'a set of an endpoint that no longer exists, or has no session affinity any more',
    nouns: ['set left over', 'sets left over'],
    cause: 'emptied',
  },
  LEFT_OVER_ELEMENT: {
    meaning: 'an element of a service port or frontend that no longer exists',
    nouns: ['element left over', 'elements left over'],
    cause: 'removed',
  },
  FOREIGN_RULE: {
    meaning: 'a rule that no proxy writes, in a chain of the proxy',
    nouns: ['foreign rule', 'foreign rules'],
    cause: 'none',
  },
} as const satisfies Readonly<Record<string, FindingKind>>

type FindingType = keyof typeof AUDIT_FINDINGS

/** One line for people: what to do about a finding. */
export function toDo({ type, table, chain }: AuditFinding): string {
  const known = type as FindingType
  switch (known) {
    case 'NO_TABLE':
      return 'see that a proxy in mode nftables runs on this node, or audit it in the mode that it runs in'
    case 'OTHER_RELEASE':
      return 'compare it with the rules of that release: only those of kube-proxy 1.36 are known here'
    case 'FOREIGN_RULE':
      return `find the program that adds rules to ${chain}: it should have a table of its own`
    case 'LEFT_OVER_CHAIN':
    case 'LEFT_OVER_SET':
    case 'LEFT_OVER_ELEMENT':
      return 'if it stays, the proxy has not synced since: see its log, then restart it'
    case 'MISSING_CHAIN':
    case 'MISSING_SET':
    case 'MISSING_RULE':
    case 'MISSING_ELEMENT':
    case 'CHANGED_CHAIN':
    case 'CHANGED_SET':
    case 'CHANGED_RULE':
    case 'CHANGED_ELEMENT':
    case 'OUT_OF_ORDER':
      return `see whether the proxy syncs (its log, its metrics), and what else changes table ${table}; a restart of the proxy writes it anew`
    default:
      return assertNever(known)
  }
}

/** Compares the table of one family with what a state wants. Other tables, and chains and sets in the proxy's table that no proxy makes, are not compared. */
export function auditTable(rules: LoadedRules, wanted: AuditedState, options: PlanOptions): readonly AuditFinding[] {
  const { family } = options
  const layout = layoutOf(wanted.config)
  const table = layout.table(family)
  const { table: found } = loadedTable(rules)
  const about = { family, table: table.name, chain: '' }
  if (found === undefined) return [{ type: 'NO_TABLE', ...about }]
  const former = [...found.chains.keys()].filter(isOfOlderRelease)
  if (former.length > 0)
    return [{ type: 'OTHER_RELEASE', ...about, detail: `it has ${former.join(', ')}, as releases before 1.36 do` }]
  const plan = planNftables(wanted, options)
  const parts = [...plan.parts()]
  const owners = new Map<string, ServicePortName>()
  for (const { port, parts: own } of parts) {
    if (port === undefined) continue
    for (const { name } of [...own.chains, ...own.sets]) owners.set(name, port.id)
    for (const element of own.elements) {
      const key = `${element.set} ${element.key.join(' . ')}`
      if (!owners.has(key)) owners.set(key, port.id)
    }
  }
  const ownerOf = (chain: string, element?: Element): ServicePortName | undefined =>
    owners.get(element === undefined ? chain : `${chain} ${element.key.join(' . ')}`)
  return compareTables({ found, wanted: plannedTable(parts) }, { family, table, ownerOf, isOwn: layout.isOwn })
}

const isOfOlderRelease = (chain: string): boolean => chain === 'mark-for-masquerade' || chain === 'endpoints-check'

interface Comparison {
  readonly family: IpFamily
  readonly table: TableName
  readonly ownerOf: (chain: string, element?: Element) => ServicePortName | undefined
  readonly isOwn: (name: string) => boolean
}

function compareTables(
  { found, wanted }: { readonly found: Table; readonly wanted: Table },
  comparison: Comparison,
): readonly AuditFinding[] {
  const { isOwn } = comparison
  return [
    ...[...wanted.sets].flatMap(([name, set]) => compareSets(found.sets.get(name), set, comparison)),
    ...[...wanted.chains].flatMap(([name, chain]) => compareChains(found.chains.get(name), chain, comparison)),
    ...[...found.chains.values()].flatMap((chain) =>
      isOwn(chain.name) && !wanted.chains.has(chain.name)
        ? [finding('LEFT_OVER_CHAIN', { chain: chain.name, found: rulesOf(chain) }, comparison)]
        : [],
    ),
    ...[...found.sets.values()].flatMap(({ declaration }) =>
      isOwn(declaration.name) && !wanted.sets.has(declaration.name)
        ? [
            finding(
              'LEFT_OVER_SET',
              { chain: declaration.name, found: [{ type: 'set', set: declaration }] },
              comparison,
            ),
          ]
        : [],
    ),
  ]
}

const rulesOf = (chain: Chain): readonly ItemObject[] =>
  chain.rules.map((rule) => ({ type: 'rule', chain: chain.name, rule }))

function compareSets(
  found: SetContents | undefined,
  wanted: SetContents,
  comparison: Comparison,
): readonly AuditFinding[] {
  const { declaration } = wanted
  const { name } = declaration
  const expected: readonly ItemObject[] = [{ type: 'set', set: declaration }]
  if (found === undefined) return [finding('MISSING_SET', { chain: name, expected }, comparison)]
  const ofElement = (
    type: FindingType,
    each: { readonly expected?: Element; readonly found?: Element },
  ): AuditFinding => {
    const element = each.expected ?? each.found
    const item = (one: Element | undefined): readonly ItemObject[] | undefined =>
      one && [{ type: 'element', element: one }]
    return finding(type, { chain: name, element, expected: item(each.expected), found: item(each.found) }, comparison)
  }
  return [
    ...(setIdentity(found.declaration) === setIdentity(declaration)
      ? []
      : [
          finding(
            'CHANGED_SET',
            { chain: name, expected, found: [{ type: 'set', set: found.declaration }] },
            comparison,
          ),
        ]),
    ...[...wanted.elements].flatMap(([key, element]) => {
      const there = found.elements.get(key)
      if (there === undefined) return [ofElement('MISSING_ELEMENT', { expected: element })]
      return elementValue(there) === elementValue(element)
        ? []
        : [ofElement('CHANGED_ELEMENT', { expected: element, found: there })]
    }),
    ...[...found.elements].flatMap(([key, element]) =>
      wanted.elements.has(key) ? [] : [ofElement('LEFT_OVER_ELEMENT', { found: element })],
    ),
  ]
}

/** A rule that should be there and one that should not are one that was changed, where both are in the same place. */
function compareChains(found: Chain | undefined, wanted: Chain, comparison: Comparison): readonly AuditFinding[] {
  const { name } = wanted
  if (found === undefined) return [finding('MISSING_CHAIN', { chain: name, expected: rulesOf(wanted) }, comparison)]
  const changed =
    hookIdentity(found) === hookIdentity(wanted)
      ? []
      : [
          finding(
            'CHANGED_CHAIN',
            { chain: name, expected: [{ type: 'chain', chain: wanted }], found: [{ type: 'chain', chain: found }] },
            comparison,
          ),
        ]
  const [expected, there] = [wanted, found].map((chain) =>
    rulesOf(chain).map((item) => ({ item, key: item.type === 'rule' ? ruleIdentity(item.rule) : '' })),
  )
  const missing = without(expected ?? [], there ?? [])
  const extra = without(there ?? [], expected ?? [])
  if (missing.length === 0 && extra.length === 0) {
    const isInOrder = (expected ?? []).every(({ key }, index) => key === there?.[index]?.key)
    return isInOrder
      ? changed
      : [
          ...changed,
          finding('OUT_OF_ORDER', { chain: name, expected: rulesOf(wanted), found: rulesOf(found) }, comparison),
        ]
  }
  const pairs = Math.min(missing.length, extra.length)
  return [
    ...changed,
    ...missing.map((item, index) =>
      index < pairs
        ? finding('CHANGED_RULE', { chain: name, expected: [item], found: extra.slice(index, index + 1) }, comparison)
        : finding('MISSING_RULE', { chain: name, expected: [item] }, comparison),
    ),
    ...extra.slice(pairs).map((item) => finding('FOREIGN_RULE', { chain: name, found: [item] }, comparison)),
  ]
}

interface KeyedItem {
  readonly item: ItemObject
  readonly key: string
}

/** Those of the first list that the second one does not have, each as often as it is missing. */
function without(items: readonly KeyedItem[], others: readonly KeyedItem[]): readonly ItemObject[] {
  const counts = new Map<string, number>()
  for (const { key } of others) counts.set(key, (counts.get(key) ?? 0) + 1)
  return items.flatMap(({ item, key }) => {
    const count = counts.get(key) ?? 0
    counts.set(key, count - 1)
    return count > 0 ? [] : [item]
  })
}

interface Found {
  readonly chain: string
  readonly element?: Element | undefined
  readonly expected?: readonly ItemObject[] | undefined
  readonly found?: readonly ItemObject[] | undefined
}

function finding(
  type: FindingType,
  { chain, element, expected, found }: Found,
  { family, table, ownerOf }: Comparison,
): AuditFinding {
  const owner = ownerOf(chain, element)
  const items = (objects: readonly ItemObject[] | undefined): readonly NftItem[] | undefined =>
    objects?.map((object) => new NftItem(object, { owner, table }))
  return {
    type,
    family,
    table: table.name,
    chain,
    ...(owner !== undefined && parseServicePortName(owner).family === family && { owner }),
    ...(expected && { expected: items(expected) }),
    ...(found && { found: items(found) }),
  }
}
