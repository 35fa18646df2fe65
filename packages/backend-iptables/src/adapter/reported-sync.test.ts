import { DEFAULT_PROXY_CONFIG, seq, type State } from '@pointsman/core'
import { changedBetween, stateOf } from '@pointsman/core/testing'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { createIptablesBackend, type IptablesBackend, type TablesSyncReport } from './iptables-backend.js'
import { describe, expect, it } from 'vitest'

const portsOf = (endpoints: number) => [
  {
    is: 'shop/web:http',
    clusterIP: '10.96.0.1',
    endpoints: Array.from({ length: endpoints }, (_, at) => `10.244.1.${at + 1}:80`),
  },
  { is: 'shop/empty:http', clusterIP: '10.96.0.2', endpoints: [] },
]
const TWO = stateOf({ ports: portsOf(2), node: {} })
const THREE = stateOf({ ports: portsOf(3), node: {} })

/** The clock goes on by 5 ms each time that it is looked at. */
function reporting(families: readonly FakeIptables['family'][] = ['IPv4']) {
  const fakes = families.map((family) => createFakeIptables({ family, variant: 'nft' }))
  const reports: TablesSyncReport[] = []
  let time = 0
  const backend = createIptablesBackend({
    config: DEFAULT_PROXY_CONFIG,
    iptables: fakes,
    onFamilySync: (report) => reports.push(report),
    now: () => (time += 5),
  })
  return { fakes, reports, backend }
}

async function sync(backend: IptablesBackend, state: State, from?: State): Promise<unknown> {
  const changed = from === undefined ? 'all' : changedBetween(from, state)
  try {
    return await backend.sync({ state, changed, fromSeq: seq(1), toSeq: seq(1) }, new AbortController().signal)
  } catch (error) {
    return error
  }
}

const rulesInForce = (fake: FakeIptables | undefined, table: string): number =>
  (fake?.text(table) ?? '').split('\n').filter((line) => line.startsWith('-A') && !line.includes('KUBE-FIREWALL'))
    .length

describe('what is told of each sync', () => {
  it('is how long it took, what was sent, and the rules of each table', async () => {
    const { fakes, reports, backend } = reporting()
    const result = await sync(backend, TWO)
    const sent = fakes[0]?.calls.filter(({ program }) => program === 'restore') ?? []
    expect(reports).toMatchObject([
      {
        family: 'IPv4',
        full: true,
        durationMs: 5,
        restores: sent.length,
        failures: 0,
        bytes: sent.map(({ text }) => text ?? '').join('').length,
      },
    ])
    expect(result).toMatchObject({ bytes: reports[0]?.bytes })
    for (const table of ['mangle', 'filter', 'nat'] as const)
      expect([table, reports[0]?.tables[table].rules]).toEqual([table, rulesInForce(fakes[0], table)])
    expect(reports[0]?.tables.nat.written).toBe(rulesInForce(fakes[0], 'nat'))
    expect(reports[0]).not.toHaveProperty('error')
  })

  it('is, of a small sync, what it wrote, and all that is in force', async () => {
    const { fakes, reports, backend } = reporting()
    await sync(backend, TWO)
    await sync(backend, THREE, TWO)
    // Three rules that spread, and the two of an endpoint that was not there.
    expect(reports[1]).toMatchObject({
      full: false,
      restores: 1,
      tables: { filter: { written: 0 }, nat: { written: 5 } },
    })
    expect(reports[1]?.tables.nat.rules).toBe(rulesInForce(fakes[0], 'nat'))
    await sync(backend, TWO, THREE)
    expect(reports[2]?.tables).toMatchObject(
      reports[0] === undefined ? {} : { nat: { rules: reports[0].tables.nat.rules } },
    )
    await sync(backend, TWO, TWO)
    expect(reports[3]).toMatchObject({ full: false, restores: 0, bytes: 0, tables: { nat: { written: 0 } } })
  })

  it('is, of one that failed, the error, what was sent all the same, and the rules of before', async () => {
    const { fakes, reports, backend } = reporting()
    await sync(backend, TWO)
    fakes[0]?.failNext({ failure: 'TIMED_OUT', program: 'restore' })
    const error = await sync(backend, THREE, TWO)
    expect(reports[1]).toMatchObject({ error, full: false, restores: 1, failures: 1, partialFailures: 1 })
    expect(reports[1]?.bytes).toBeGreaterThan(0)
    expect(reports[1]?.tables.nat).toEqual({ rules: reports[0]?.tables.nat.rules, written: 0 })
  })

  it('counts restores that failed in a sync that succeeded', async () => {
    const { fakes, reports, backend } = reporting()
    await sync(backend, TWO)
    fakes[0]?.failNext({ failure: 'REFUSED', program: 'restore' })
    await sync(backend, THREE, TWO)
    expect(reports[1]).toMatchObject({
      full: true,
      restores: 2,
      failures: 1,
      partialFailures: 1,
      tables: { nat: { written: 5 } },
    })
    expect(reports[1]).not.toHaveProperty('error')
  })

  it('is told once a family, also of those that went well when one failed', async () => {
    const { fakes, reports, backend } = reporting(['IPv4', 'IPv6'])
    await sync(backend, TWO)
    expect(reports.map(({ family }) => family)).toEqual(['IPv4', 'IPv6'])
    fakes[0]?.failNext({ failure: 'TIMED_OUT', program: 'restore' })
    await sync(backend, THREE, TWO)
    expect(reports.slice(2).map(({ family, failures }) => [family, failures])).toEqual([
      ['IPv4', 1],
      ['IPv6', 0],
    ])
  })
})
