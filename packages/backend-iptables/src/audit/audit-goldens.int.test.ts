import type { IpFamily } from '@pointsman/core'
import { formatSave, parseSave, type SavedTable } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { planRuleset } from '../ruleset/service-rules.js'
import {
  CLASSIC_GOLDENS,
  differencesOf,
  type Golden,
  GOLDENS,
  readClassicGolden,
  readGolden,
} from '../test-support/goldens.js'
import { withoutKubelets } from './audit-rules.js'
import { auditTables } from './audit-tables.js'
import type { TableFinding } from './finding.js'
import { readTables } from './text-tables.js'

/** Every rule of every save, but of one that has thousands: of that a few, which the mutations choose; in a soak, more. */
const MOST_PLACES = process.env['POINTSMAN_SOAK'] === '1' ? 400 : 8
const LARGE = 100

const CASES = [
  ...GOLDENS.flatMap((scenario) => (['IPv4', 'IPv6'] as const).map((family) => [scenario, family] as const)),
  ...CLASSIC_GOLDENS.map((scenario) => [`1.20 ${scenario}`, 'IPv4'] as const),
]

function goldenOf(name: string, family: IpFamily): Pick<Golden, 'config' | 'state'> & { readonly saved: string } {
  const [, classic] = /^1\.20 (.*)$/.exec(name) ?? []
  if (classic !== undefined) return readClassicGolden(classic)
  const { saved, ...golden } = readGolden(name)
  return { ...golden, saved: saved[family] }
}

const auditOf = (scenario: string, family: IpFamily): ((tables: readonly SavedTable[]) => readonly TableFinding[]) => {
  const { state, config } = goldenOf(scenario, family)
  const ruleset = withoutKubelets(planRuleset(state, config, { family }))
  return (tables) => auditTables(ruleset, tables)
}

/** One rule of a save, by its place. */
interface Place {
  readonly table: number
  readonly chain: number
  readonly rule: number
}

const placesIn = (tables: readonly SavedTable[]): readonly Place[] =>
  tables.flatMap(({ chains }, table) =>
    // What is in KUBE-MARK-DROP is kubelet's.
    chains.flatMap(({ chain: name, rules }, chain) =>
      name === 'KUBE-MARK-DROP' ? [] : rules.map((_, rule) => ({ table, chain, rule })),
    ),
  )

type Rules = SavedTable['chains'][number]['rules']

/** The save with the rules of one chain made into others. */
const withRules = (
  tables: readonly SavedTable[],
  place: Place,
  change: (rules: Rules) => Rules,
): readonly SavedTable[] =>
  tables.map((table, at) =>
    at === place.table
      ? {
          ...table,
          chains: table.chains.map((chain, index) =>
            index === place.chain ? { ...chain, rules: change(chain.rules) } : chain,
          ),
        }
      : table,
  )

/** Whether kubelet's jump or the proxy's stands first depends on which of them began first: the goldens have kubelet's first. */
function kubeletsFirst(text: string): string {
  const lines = text.split('\n')
  return lines
    .map((line, at) => ({ line, at, key: /^-A (?:INPUT|OUTPUT) /.exec(line)?.[0] ?? '' }))
    .toSorted((one, other) => {
      if (one.key === '' || one.key !== other.key) return one.at - other.at
      return Number(isKubelets(other.line)) - Number(isKubelets(one.line)) || one.at - other.at
    })
    .map(({ line }) => line)
    .join('\n')
}

const isKubelets = (line: string): boolean => line.endsWith('-j KUBE-FIREWALL')

const MUTATIONS: Readonly<Record<string, (rules: Rules, at: number) => Rules>> = {
  removed: (rules, at) => rules.toSpliced(at, 1),
  'moved to the front': (rules, at) => {
    const [rule] = rules.slice(at, at + 1)
    return rule === undefined ? rules : [rule, ...rules.toSpliced(at, 1)]
  },
  'moved to the end': (rules, at) => [...rules.toSpliced(at, 1), ...rules.slice(at, at + 1)],
  duplicated: (rules, at) => rules.toSpliced(at, 0, ...rules.slice(at, at + 1)),
  'given another end': (rules, at) =>
    rules.map((saved, index) => {
      if (index !== at) return saved
      const chain = saved.rule.target?.type === 'jump' && saved.rule.target.chain === 'RETURN' ? 'ACCEPT' : 'RETURN'
      return { ...saved, rule: { ...saved.rule, target: { type: 'jump', chain } } }
    }),
  'given another source': (rules, at) =>
    rules.map((saved, index) =>
      index === at ? { ...saved, rule: { ...saved.rule, source: { network: '192.0.2.77/32', negated: true } } } : saved,
    ),
}

describe('an audit of what a real kube-proxy wrote', () => {
  it.each(CASES)('finds nothing against its own objects: %s, %s', async (scenario, family) => {
    const audit = auditOf(scenario, family)
    const text = goldenOf(scenario, family).saved
    expect(audit(parseSave(text))).toEqual([])
    expect(audit(await readTables(text.split('\n')))).toEqual([])
  })

  describe.each(Object.keys(MUTATIONS))('with a rule %s', (mutation) => {
    /** Rules by the text of their chain: where a chain of another scenario is the same, so is what becomes of its rules. */
    const tried = new Set<string>()

    it.each(CASES)('finds it, wherever it counts: %s, %s', async (scenario, family) => {
      const recorded = goldenOf(scenario, family).saved
      const tables = parseSave(recorded)
      const audit = auditOf(scenario, family)
      const places = placesIn(tables)
      const step = places.length <= LARGE ? 1 : Math.ceil(places.length / MOST_PLACES)
      let counted = 0
      let known = 0
      for (const place of places.filter((_, at) => at % step === mutation.length % step)) {
        const { table, chain } = place
        const text = JSON.stringify([family, tables[table]?.table, tables[table]?.chains[chain], place.rule])
        if (tried.has(text)) {
          known += 1
          continue
        }
        tried.add(text)
        const mutate = MUTATIONS[mutation]
        if (mutate === undefined) throw new Error(mutation)
        const changed = withRules(tables, place, (rules) => mutate(rules, place.rule))
        const save = formatSave(changed)
        const differs = (await differencesOf(recorded, kubeletsFirst(save))).length > 0
        const findings = audit(changed)
        expect(audit(await readTables(save.split('\n')))).toEqual(findings)
        const found = findings.length > 0
        expect({ mutation, place, rule: tables[place.table]?.chains[place.chain]?.rules[place.rule], found }).toEqual({
          mutation,
          place,
          rule: tables[place.table]?.chains[place.chain]?.rules[place.rule],
          found: differs,
        })
        if (differs) counted += 1
      }
      expect(counted + known).toBeGreaterThan(0)
    })
  })
})
