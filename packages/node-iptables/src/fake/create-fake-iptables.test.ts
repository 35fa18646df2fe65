import { describe, expect, it } from 'vitest'
import { IptablesError } from '../iptables-error.js'
import { createFakeIptables, type FakeIptables } from './create-fake-iptables.js'

const nft = (): FakeIptables => createFakeIptables({ family: 'IPv4', variant: 'nft' })

const restore = async (fake: FakeIptables, ...lines: readonly string[]): Promise<string> => {
  try {
    await fake.restore({ lines, flush: false, counters: false })
    return 'done'
  } catch (error) {
    if (error instanceof IptablesError) return `${error.code} ${error.restore?.line.number ?? '-'}`
    throw error
  }
}

const TWO_TABLES = ['*nat', ':A - [0:0]', 'COMMIT', '*filter', ':B - [0:0]', 'COMMIT']

describe('faults', () => {
  it.each([
    [{ failure: 'LOCK_HELD' }, 'LOCK_HELD -', []],
    [{ failure: 'NO_PERMISSION' }, 'NO_PERMISSION -', []],
    [{ failure: 'REFUSED' }, 'RESTORE_FAILED 3', []],
    [{ failure: 'REFUSED', applied: 1 }, 'RESTORE_FAILED 6', ['A']],
    [{ failure: 'TIMED_OUT' }, 'TIMED_OUT -', []],
    [{ failure: 'TIMED_OUT', applied: 1 }, 'TIMED_OUT -', ['A']],
    [{ failure: 'TIMED_OUT', applied: 'all' }, 'TIMED_OUT -', ['A', 'B']],
    [{ failure: 'KILLED', applied: 'all' }, 'RESTORE_FAILED -', ['A', 'B']],
  ] as const)('%j: %s, and what took effect are the chains %j', async (fault, error, chains) => {
    const fake = nft()
    fake.failNext(fault)
    expect(await restore(fake, ...TWO_TABLES)).toBe(error)
    expect(['A', 'B'].filter((chain) => fake.text().includes(`:${chain} -`))).toEqual(chains)
    expect(await restore(fake, ...TWO_TABLES)).toBe('done')
  })

  it('strikes the program that is named, once, one fault after the other', async () => {
    const fake = nft()
    const chain = { table: 'nat', chain: 'A' }
    fake.failNext({ failure: 'LOCK_HELD', program: 'restore' })
    fake.failNext({ failure: 'TIMED_OUT', program: 'iptables', applied: 'all' })
    await expect(fake.ensureChain(chain)).rejects.toMatchObject({ code: 'TIMED_OUT' })
    expect(await fake.hasChain(chain)).toBe(true)
    expect(await restore(fake, ...TWO_TABLES)).toBe('LOCK_HELD -')
    expect(await restore(fake, ...TWO_TABLES)).toBe('done')
  })
})

describe('what was called', () => {
  it('has what each restore read, how many COMMITs took effect, and how it ended', async () => {
    const fake = nft()
    await restore(fake, '*nat', ':A - [0:0]', 'COMMIT', '*filter', '-X NOPE', 'COMMIT')
    await fake.save({ table: 'nat' })
    expect(fake.calls).toMatchObject([
      {
        program: 'restore',
        text: '*nat\n:A - [0:0]\nCOMMIT\n*filter\n-X NOPE\nCOMMIT\n',
        commits: 1,
        exitCode: 1,
      },
      { program: 'save', argv: ['iptables-nft-save', '-t', 'nat'], exitCode: 0 },
    ])
    fake.forgetCalls()
    expect(fake.calls).toEqual([])
  })
})

describe("somebody else's change", () => {
  it('is no call, and no fault strikes it', () => {
    const fake = nft()
    fake.failNext({ failure: 'LOCK_HELD' })
    fake.change('*nat\n:A - [0:0]\n-A PREROUTING -j A\nCOMMIT\n')
    expect(fake.text('nat').split('\n').slice(-4)).toEqual([':A - [0:0]', '-A PREROUTING -j A', 'COMMIT', ''])
    expect(fake.calls).toEqual([])
  })

  it('is a mistake of the test when it is refused', () => {
    expect(() => nft().change('*nat\n-A NOPE -j ACCEPT\nCOMMIT\n')).toThrow('No chain/target/match')
  })
})

it.skipIf(process.env['POINTSMAN_QUICK'] === '1').each(['nft', 'legacy'] as const)(
  'takes the rules of 10,000 services in seconds: %s',
  async (variant) => {
    const fake = createFakeIptables({ family: 'IPv4', variant })
    await fake.restore({ lines: servicesOf(10_000), flush: true, counters: false })
    const away = ['*nat', '-D KUBE-SERVICES 9999', '-F SVC-9998', '-X SVC-9998', 'COMMIT']
    for (let count = 0; count < 20; count++) expect(await restore(fake, ...away, '*nat', '-X NOPE')).not.toBe('done')
    expect(fake.text().split('\n').length).toBeGreaterThan(150_000)
  },
  60_000,
)

function* servicesOf(count: number): Generator<string, void, undefined> {
  const services = Array.from({ length: count }, (_, at) => at)
  const endpoints = [0, 1, 2, 3, 4]
  yield '*nat'
  for (const name of ['KUBE-SERVICES', 'KUBE-MARK-MASQ']) yield `:${name} - [0:0]`
  for (const at of services) {
    yield `:SVC-${at} - [0:0]`
    for (const endpoint of endpoints) yield `:SEP-${at}-${endpoint} - [0:0]`
  }
  yield '-A PREROUTING -j KUBE-SERVICES'
  for (const at of services) {
    yield `-A KUBE-SERVICES -d 10.0.${at >> 8}.${at & 255}/32 -p tcp -m tcp --dport 80 -j SVC-${at}`
    for (const endpoint of endpoints) {
      yield `-A SVC-${at} -m statistic --mode random --probability 0.2 -j SEP-${at}-${endpoint}`
      yield `-A SEP-${at}-${endpoint} -s 10.1.1.1/32 -j KUBE-MARK-MASQ`
      yield `-A SEP-${at}-${endpoint} -p tcp -m tcp -j DNAT --to-destination 10.1.1.1:80`
    }
  }
  yield 'COMMIT'
}

it('refuses what no save can print, and does not fall over it', async () => {
  const fake = nft()
  expect(await restore(fake, '*nat', '-A PREROUTING -m comment --comment "a\rb"', 'COMMIT')).toBe('BAD_ARGUMENT 2')
})
