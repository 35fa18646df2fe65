import { iptablesDataplane, ownedRules, planRuleset } from '@pointsman/backend-iptables'
import {
  createRuleHistory,
  createStateFold,
  DEFAULT_PROXY_CONFIG,
  type GoneRule,
  type LogRecord,
  type ProxyConfig,
  type RuleItem,
  type State,
  watchEventOf,
} from '@pointsman/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordsArbitrary } from './support/history-arbitraries.js'

/*
 * What blame says is what anybody finds who renders all rules after every record, and looks since when each text has been
 * there without a break.
 */
const options = { family: 'IPv4', nfacct: true } as const
const nodeName = 'node-a'

test('each rule is blamed on the last record at which its text changed', () => {
  fc.assert(
    fc.property(recordsArbitrary(), (records) => {
      const texts = textsAfterEach(records, textOf)
      const withoutOdds = textsAfterEach(records, textWithoutOdds)
      const { rules } = followed(records)
      expect(rules.map(({ item, changed, made }) => ({ rule: textOf(item), changed, made }))).toEqual(
        numbered(rules.map(({ item }) => item)).map(({ rule, text, bare }) => ({
          rule: textOf(rule),
          changed: Math.max(sinceWhen(texts, text), startOf(rule, records)),
          made: Math.max(sinceWhen(withoutOdds, bare), startOf(rule, records)),
        })),
      )
    }),
  )
})

test('the rules of one Service need no other records than those of it, the Node and the configuration', () => {
  fc.assert(
    fc.property(recordsArbitrary(), (records) => {
      const ofWeb = records.filter(
        (record) =>
          record.type !== 'object' || record.kind === 'Node' || record.name === 'web' || wasSliceOf(record, records),
      )
      const ofService = ({ owner }: { readonly owner?: string | undefined }): boolean =>
        owner?.startsWith('shop/web') === true
      expect(followed(ofWeb).rules.filter(ofService)).toEqual(followed(records).rules.filter(ofService))
    }),
  )
})

test('a rule that went is told with the record that took it away', () => {
  fc.assert(
    fc.property(recordsArbitrary(), (records) => {
      const texts = textsAfterEach(records, textWithoutOdds)
      for (const { gone, seq } of followed(records).gone) {
        const text = textWithoutOdds(gone.item)
        const [before = [], after = []] = [texts[seq - 1], texts[seq]]
        const count = (list: readonly string[]): number => list.filter((each) => each === text).length
        expect({ text, fewer: count(before) > count(after) }).toEqual({ text, fewer: true })
      }
    }),
  )
})

/** The texts of all rules, after no record, after the first, and so on. */
function textsAfterEach(
  records: readonly LogRecord[],
  text: (item: RuleItem) => string,
): readonly (readonly string[])[] {
  const fold = createStateFold({ nodeName })
  let config: ProxyConfig = DEFAULT_PROXY_CONFIG
  const render = (): readonly string[] => {
    const ruleset = planRuleset(withNode(fold.state), config, { ...options, keepComments: true })
    return [...ownedRules(ruleset)].map(text)
  }
  const texts = [render()]
  for (const record of records) {
    if (record.type === 'config') config = { ...DEFAULT_PROXY_CONFIG, ...(record.config as Partial<ProxyConfig>) }
    if (record.type === 'object') fold.track(record.seq, watchEventOf(record))
    fold.apply()
    texts.push(render())
  }
  return texts
}

const withNode = ({ node, ...state }: State): State => ({
  ...state,
  node: node ?? { name: nodeName, addresses: [], podCIDRs: [], zone: '', taints: [], deleting: false },
})

const textOf = ({ table, chain, text, owner }: RuleItem): string => `${owner ?? ''} ${table} ${chain} ${text}`

const textWithoutOdds = (item: RuleItem): string =>
  textOf(item)
    .replace(/ -m statistic --mode random \S+ \S+/, '')
    .replace(/Balancing rule \d+ for /, 'Balancing rule for ')

/** Since when a text has been there at least so often; 0: since before the first record. */
function sinceWhen(
  texts: readonly (readonly string[])[],
  { text, count }: { readonly text: string; readonly count: number },
): number {
  const has = (list: readonly string[]): boolean => list.filter((each) => each === text).length >= count
  let since = texts.length - 1
  while (since > 0 && has(texts[since - 1] ?? [])) since--
  return since
}

/** Rules of no service come with the first configuration: nothing was in force before. */
const startOf = ({ owner }: RuleItem, records: readonly LogRecord[]): number =>
  owner === undefined ? (records.find(({ type }) => type === 'config')?.seq ?? 0) : 0

interface Numbered {
  readonly rule: RuleItem
  readonly text: { readonly text: string; readonly count: number }
  readonly bare: { readonly text: string; readonly count: number }
}

/** A rule that stands twice is looked for twice. */
function numbered(rules: readonly RuleItem[]): readonly Numbered[] {
  const seen = new Map<string, number>()
  return rules.map((rule) => {
    const text = textOf(rule)
    const count = (seen.get(text) ?? 0) + 1
    seen.set(text, count)
    return { rule, text: { text, count }, bare: { text: textWithoutOdds(rule), count } }
  })
}

interface Followed {
  readonly rules: readonly {
    readonly item: RuleItem
    readonly owner: RuleItem['owner']
    readonly made: number
    readonly changed: number
  }[]
  readonly gone: readonly { readonly gone: GoneRule; readonly seq: number }[]
}

function followed(records: readonly LogRecord[]): Followed {
  const history = createRuleHistory({ planner: iptablesDataplane, options, nodeName, config: DEFAULT_PROXY_CONFIG })
  const gone = records.flatMap((record) =>
    history.take(record).map((rule) => ({ gone: rule, seq: Number(record.seq) })),
  )
  const seqOf = ({ cause }: GoneRule['made']): number => (cause.type === 'start' ? 0 : cause.record.seq)
  const rules = history
    .rules()
    .map(({ item, made, changed }) => ({ item, owner: item.owner, made: seqOf(made), changed: seqOf(changed) }))
  return { rules, gone }
}

function wasSliceOf(record: LogRecord, records: readonly LogRecord[]): boolean {
  if (record.type !== 'object' || record.kind !== 'EndpointSlice') return false
  const { name } = record
  return records.some(
    (other) =>
      other.type === 'object' &&
      other.kind === 'EndpointSlice' &&
      other.name === name &&
      (other.object.metadata['labels'] as Record<string, unknown>)['kubernetes.io/service-name'] === 'web',
  )
}
