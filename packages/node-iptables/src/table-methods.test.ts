import { beforeEach, describe, expect, it } from 'vitest'
import { createFakeIptables } from './fake/create-fake-iptables.js'
import type { FakeIptables } from './fake/create-fake-iptables.js'

const THERE = `*nat
:MINE - [0:0]
:OURS - [0:0]
-A PREROUTING -j MINE
-A MINE -j RETURN
COMMIT
*filter
:MINE - [0:0]
COMMIT
`

describe.each(['nft', 'legacy'] as const)('a restore, on %s', (variant) => {
  let iptables: FakeIptables
  beforeEach(() => {
    iptables = createFakeIptables({ family: 'IPv4', variant })
    iptables.change(THERE)
  })

  /** The user chains and rules of a table. */
  const linesOf = (table: string): readonly string[] =>
    iptables
      .text(table)
      .split('\n')
      .filter((line) => /^:\S+ -|^-A/.test(line))

  const text = '*nat\n:OURS - [0:0]\n-A OURS -j ACCEPT\nCOMMIT\n'

  it('that does not flush keeps what it does not name', async () => {
    await iptables.restore({ text, flush: false, counters: false })
    expect(linesOf('nat').toSorted()).toEqual([
      '-A MINE -j RETURN',
      '-A OURS -j ACCEPT',
      '-A PREROUTING -j MINE',
      ':MINE - [0:0]',
      ':OURS - [0:0]',
    ])
  })

  it('that flushes empties the tables that it names, and no others', async () => {
    await iptables.restore({ text, flush: true, counters: false })
    expect(linesOf('nat')).toEqual([':OURS - [0:0]', '-A OURS -j ACCEPT'])
    expect(linesOf('filter')).toEqual([':MINE - [0:0]'])
  })

  it('of some tables of its text leaves the others alone', async () => {
    const both = `${text}*filter\n:OURS - [0:0]\nCOMMIT\n`
    await iptables.restore({ text: both, tables: ['filter'], flush: true, counters: false })
    expect(linesOf('nat')).toContain('-A MINE -j RETURN')
    expect(linesOf('filter')).toEqual([':OURS - [0:0]'])
  })

  it('that fails leaves that table as it was, and the one before it restored', async () => {
    const before = iptables.text('nat')
    const lines = ['*filter', ':NEW - [0:0]', 'COMMIT', '*nat', '-F MINE', '-A OURS -j ACCEPT', '-X NOPE', 'COMMIT']
    const restore = iptables.restore({ lines, flush: false, counters: false })
    await expect(restore).rejects.toMatchObject({ restore: { line: { number: 7, text: '-X NOPE' } } })
    expect(iptables.text('nat')).toBe(before)
    expect(linesOf('filter')).toContain(':NEW - [0:0]')
  })
})
