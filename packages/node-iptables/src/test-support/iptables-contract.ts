import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Iptables, Variant } from '../iptables.js'
import type { Family } from '../detect-variant.js'
import { IptablesError } from '../iptables-error.js'
import { CHANGES, REFUSALS } from './contract-restores.js'

/** One iptables to be tried: no table has been touched, and the nfacct object `known` is there. */
export interface Subject {
  readonly iptables: Iptables
  readonly remove: () => void
}

export interface ContractOptions {
  readonly variant: Variant
  readonly family: Family
  readonly makeSubject: () => Subject | Promise<Subject>
}

const TEST = { table: 'nat', chain: 'TEST' }
const OTHER = { table: 'nat', chain: 'OTHER' }
const RETURN_80 = '-A TEST -p tcp -m tcp --dport 80 -j RETURN'

/** What every Iptables does, whether it has a kernel behind it or is the fake. */
export function iptablesContract({ variant, family, makeSubject }: ContractOptions): void {
  describe(`${variant}, ${family}`, () => {
    let subject: Subject
    let iptables: Iptables

    beforeEach(async () => {
      subject = await makeSubject()
      ;({ iptables } = subject)
    })
    afterEach(() => subject.remove())

    const saved = async (table?: string): Promise<string> => (await iptables.save({ table })).replaceAll(/^#.*\n/gm, '')
    const told = async (table?: string): Promise<readonly string[]> =>
      (await saved(table)).split('\n').filter((line) => isTold(line))
    const rules = async (): Promise<readonly string[]> =>
      (await saved('nat')).split('\n').filter((line) => line.startsWith('-A'))
    const restore = (text: string): Promise<void> => iptables.restore({ text, flush: false, counters: false })

    test('the variant and the family are what was asked for', () => {
      expect(iptables).toMatchObject({ family, capabilities: { variant, check: true, randomFully: true } })
    })

    test('chains are made once, flushed and deleted', async () => {
      expect(await iptables.ensureChain(TEST)).toEqual({ existed: false })
      expect(await iptables.ensureChain(TEST)).toEqual({ existed: true })
      await iptables.ensureRule({ ...TEST, position: 'append', rule: ['-j', 'RETURN'] })
      expect(await codeOf(iptables.deleteChain(TEST))).toBe('CHAIN_IN_USE')
      await iptables.flushChain(TEST)
      await iptables.deleteChain(TEST)
      expect(await codeOf(iptables.flushChain(TEST))).toBe('NO_SUCH_CHAIN')
      expect(await codeOf(iptables.deleteChain(TEST))).toBe('NO_SUCH_CHAIN')
    })

    test('a chain is found where it is, and looking makes nothing', async () => {
      expect(await iptables.hasChain(TEST)).toBe(false)
      expect(await saved()).toBe('')
      await iptables.ensureChain(TEST)
      expect(await iptables.hasChain(TEST)).toBe(true)
      expect(await iptables.hasChain({ ...TEST, chain: 'PREROUTING' })).toBe(true)
      expect(await iptables.hasChain({ ...TEST, chain: 'TES' })).toBe(false)
      expect(await iptables.hasChain({ ...TEST, table: 'mangle' })).toBe(false)
    })

    test('a chain that is jumped to is not deleted', async () => {
      await iptables.ensureChain(TEST)
      await iptables.ensureChain(OTHER)
      await iptables.ensureRule({ ...OTHER, position: 'append', rule: ['-j', 'TEST'] })
      expect(await codeOf(iptables.deleteChain(TEST))).toBe('CHAIN_IN_USE')
      await iptables.deleteRule({ ...OTHER, rule: ['-j', 'TEST'] })
      await iptables.deleteChain(TEST)
      expect(await iptables.hasChain(TEST)).toBe(false)
    })

    test('rules are added first or last, once, found and deleted', async () => {
      await iptables.ensureChain(TEST)
      const comment = ['-m', 'comment', '--comment', 'a "b" c']
      const web = { ...TEST, rule: ['-p', 'tcp', ...comment, '--dport', '80', '-j', 'RETURN'] }
      const all = { ...TEST, rule: ['-j', 'ACCEPT'] }
      expect(await iptables.ensureRule({ ...all, position: 'append' })).toEqual({ existed: false })
      expect(await iptables.ensureRule({ ...web, position: 'prepend' })).toEqual({ existed: false })
      expect(await iptables.ensureRule({ ...web, position: 'append' })).toEqual({ existed: true })
      expect((await rules()).map((rule) => rule.split(' ').at(-1))).toEqual(['RETURN', 'ACCEPT'])
      expect(await iptables.checkRule(web)).toBe(true)
      expect(await iptables.deleteRule(web)).toEqual({ existed: true })
      expect(await iptables.deleteRule(web)).toEqual({ existed: false })
      expect(await iptables.checkRule(web)).toBe(false)
      expect(await iptables.checkRule({ ...all, chain: 'NOWHERE' })).toBe(false)
      expect(await iptables.deleteRule({ ...all, chain: 'NOWHERE' })).toEqual({ existed: false })
      expect(await codeOf(iptables.ensureRule({ ...all, chain: 'NOWHERE', position: 'append' }))).toBe('NO_SUCH_CHAIN')
    })

    test.each([
      ['-p tcp --source-port 5', '-p 6 -m tcp --sport 5:5'],
      [
        '-j REJECT',
        `-j REJECT --reject-with ${family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable'}`,
      ],
      ['-m recent --set', '-m recent --set --name DEFAULT --rsource'],
      ['-j MARK --or-mark 0x8000', '-j MARK --set-xmark 0x8000/0x8000'],
      ['-m statistic --mode random --probability 0.5', '-m statistic --mode random --probability 0.50000000000'],
      ['-m conntrack --ctstate RELATED,ESTABLISHED', '-m conntrack --ctstate established,related'],
    ])('%s and %s are one rule', async (one, other) => {
      const place = { table: 'filter', chain: 'TEST' }
      await iptables.ensureChain(place)
      await iptables.ensureRule({ ...place, rule: one.split(' '), position: 'append' })
      expect(await iptables.checkRule({ ...place, rule: other.split(' ') })).toBe(true)
      expect(await iptables.deleteRule({ ...place, rule: other.split(' ') })).toEqual({ existed: true })
    })

    test.each<readonly [rule: string, nft: string, legacy: string]>([
      ['-m nosuch -j ACCEPT', 'NO_SUCH_CHAIN', 'NO_SUCH_CHAIN'],
      ['-j NOPE', 'NO_SUCH_CHAIN', 'NO_SUCH_CHAIN'],
      ['-g NOPE', 'NO_SUCH_CHAIN', 'BAD_ARGUMENT'],
      ['-p tcp --nosuch 1 -j ACCEPT', 'UNKNOWN_OPTION', 'UNKNOWN_OPTION'],
      ['-p tcp --dport nosuch -j ACCEPT', 'BAD_ARGUMENT', 'BAD_ARGUMENT'],
      // legacy's kernel has one answer for a missing match and for a missing object.
      ['-m nfacct --nfacct-name unknown', 'NO_KERNEL_SUPPORT', 'NO_SUCH_CHAIN'],
      ['-j MASQUERADE', 'FAILED', 'FAILED'],
      ['-j TEST', 'FAILED', 'FAILED'],
      ['-o lo -j ACCEPT', 'BAD_ARGUMENT', 'BAD_ARGUMENT'],
    ])('the rule %s cannot be added: %s, on legacy %s', async (words, onNft, onLegacy) => {
      await restore('*filter\n:TEST - [0:0]\n-A TEST -i lo -j TEST\nCOMMIT\n')
      const place = { table: 'filter', chain: 'INPUT' }
      const adding = iptables.ensureRule({ ...place, rule: words.split(' '), position: 'append' })
      expect(await codeOf(adding)).toBe(variant === 'nft' ? onNft : onLegacy)
      expect((await saved('filter')).split('\n').filter((line) => line.startsWith('-A INPUT'))).toEqual([])
    })

    test('there is no such table', async () => {
      expect(await codeOf(iptables.ensureChain({ table: 'nosuch', chain: 'A' }))).toBe('NO_KERNEL_SUPPORT')
    })

    test('the whole save comes line by line too', async () => {
      await restore('*nat\n:TEST - [0:0]\nCOMMIT\n*filter\n-A INPUT -j ACCEPT\nCOMMIT\n')
      for (const what of [{}, { table: 'nat' }, { counters: true }]) {
        const lines: string[] = []
        for await (const line of iptables.saveLines(what)) if (!line.startsWith('#')) lines.push(`${line}\n`)
        expect(lines.join('')).toBe((await iptables.save(what)).replaceAll(/^#.*\n/gm, ''))
      }
    })

    test('a restore of one table leaves what it does not name, and what was saved is restored', async () => {
      await iptables.ensureChain(OTHER)
      await restore(`*nat\n:TEST - [0:0]\n${RETURN_80}\nCOMMIT\n`)
      const text = await iptables.save({ table: 'nat' })
      expect(text).toContain(':OTHER - [0:0]')
      expect(await rules()).toEqual([RETURN_80])
      await iptables.restore({ text: '*nat\nCOMMIT\n', flush: true, counters: false })
      expect(await rules()).toEqual([])
      await iptables.restore({ text, flush: true, counters: false })
      expect(await rules()).toEqual([RETURN_80])
    })

    test('tables that are not asked for are left out of a restore, and lines keep their numbers', async () => {
      const text = '*filter\n:TEST - [0:0]\nCOMMIT\n*nat\n:TEST - [0:0]\n-A NOPE\nCOMMIT\n'
      await iptables.restore({ text, tables: ['filter'], flush: false, counters: false })
      expect(await iptables.hasChain({ table: 'filter', chain: 'TEST' })).toBe(true)
      const refused = iptables.restore({ text, tables: ['nat'], flush: false, counters: false })
      await expect(refused).rejects.toMatchObject({ restore: { line: { number: 6, text: '-A NOPE' } } })
    })

    test('counters are restored when they are asked for', async () => {
      const text = '*filter\n:INPUT DROP [5:60]\n[1:2] -A INPUT -j RETURN\nCOMMIT\n'
      const counted = async (counters: boolean): Promise<string> => {
        await iptables.restore({ text, flush: true, counters })
        return (await iptables.save({ table: 'filter', counters: true })).replaceAll(/^#.*\n/gm, '')
      }
      expect(await counted(true)).toContain(':INPUT DROP [5:60]')
      // ip6tables-nft-restore of 1.8.9 forgets those of rules.
      if (variant === 'legacy' || family === 'IPv4') expect(await counted(true)).toContain('[1:2] -A INPUT -j RETURN')
      expect(await counted(false)).toContain(':INPUT DROP [0:0]')
      expect(await counted(false)).toContain('[0:0] -A INPUT -j RETURN')
    })

    describe('restores', () => {
      test.each(CHANGES)('$name', async ({ before = '', text, flush = false, after, afterOnLegacy = after }) => {
        await restore(before)
        await iptables.restore({ text, flush, counters: false })
        expect(await told()).toEqual(variant === 'nft' ? after : afterOnLegacy)
      })

      test.each(REFUSALS)('refused: $name', async ({ before = '', text, nft, legacy }) => {
        await restore(before)
        const rulesBefore = await told()
        expect(await outcomeOf(restore(text))).toEqual(variant === 'nft' ? nft : legacy)
        // On legacy, an empty table is left of what made one.
        expect((await told()).filter((line) => line !== '*filter')).toEqual(
          rulesBefore.filter((line) => line !== '*filter'),
        )
      })

      test('a table before the one that is refused stays applied, the one after it is not tried', async () => {
        const text =
          '*nat\n:FIRST - [0:0]\nCOMMIT\n*filter\n:SECOND - [0:0]\n-A NOPE -j DROP\nCOMMIT\n*mangle\n:THIRD - [0:0]\nCOMMIT\n'
        await expect(restore(text)).rejects.toMatchObject({ restore: { line: { number: 6 } } })
        expect((await saved()).split('\n').filter((line) => line.endsWith(' - [0:0]'))).toEqual([':FIRST - [0:0]'])
      })

      test('what is refused is shown with its neighbours', async () => {
        const text = `*nat\n:TEST - [0:0]\n-A TEST -j RETURN\n-A TEST -p tcp --no-such-option 1 -j RETURN\nCOMMIT\n`
        await expect(restore(text)).rejects.toMatchObject({
          code: 'UNKNOWN_OPTION',
          restore: {
            line: { number: 4, text: '-A TEST -p tcp --no-such-option 1 -j RETURN' },
            neighbours: [
              { number: 2, text: ':TEST - [0:0]' },
              { number: 3, text: '-A TEST -j RETURN' },
              { number: 5, text: 'COMMIT' },
            ],
          },
        })
        expect(await iptables.hasChain(TEST)).toBe(false)
      })
    })

    test('a call that was given up says so', async () => {
      expect(await codeOf(iptables.save({}, { signal: AbortSignal.abort() }))).toBe('ABORTED')
      const text = '*nat\n:TEST - [0:0]\nCOMMIT\n'
      const restoring = iptables.restore({ text, flush: false, counters: false }, { signal: AbortSignal.abort() })
      expect(await codeOf(restoring)).toBe('ABORTED')
      expect(await iptables.hasChain(TEST)).toBe(false)
    })

    test('a restore that is given up while it is read leaves nothing of that table', async () => {
      const stopping = new AbortController()
      function* lines(): Generator<string, void, undefined> {
        yield* ['*filter', ':TEST - [0:0]', 'COMMIT', '*nat', ':TEST - [0:0]']
        stopping.abort()
      }
      const restoring = iptables.restore({ lines, flush: false, counters: false }, { signal: stopping.signal })
      expect(await codeOf(restoring)).toBe('ABORTED')
      expect(await iptables.hasChain(TEST)).toBe(false)
    })

    test('restores at the same time do not meet in one table', async () => {
      async function* slowly(lines: readonly string[]): AsyncGenerator<string, void, undefined> {
        for (const line of lines) {
          await new Promise((resolve) => setImmediate(resolve))
          yield line
        }
      }
      const refused = slowly(['*nat', ':TEST - [0:0]', '-A TEST -j RETURN', '-A NOPE', 'COMMIT'])
      const done = slowly(['*nat', ':OTHER - [0:0]', '-A OTHER -j RETURN', 'COMMIT'])
      const [one, other] = await Promise.all(
        [refused, done].map((lines) => codeOf(iptables.restore({ lines, flush: false, counters: false }))),
      )
      expect(one).not.toBe('no error')
      expect(other).toBe('no error')
      expect(await rules()).toEqual(['-A OTHER -j RETURN'])
    })

    test('a save can be piped into a restore of the same tables', async () => {
      await restore(`*nat\n:TEST - [0:0]\n${RETURN_80}\nCOMMIT\n`)
      await iptables.restore({ lines: iptables.saveLines(), flush: true, counters: false })
      expect(await rules()).toEqual([RETURN_80])
    })

    test('a wait that iptables would misread is refused', async () => {
      const text = '*nat\nCOMMIT\n'
      await expect(iptables.restore({ text, flush: false, counters: false, waitSeconds: 0 })).rejects.toThrow(
        RangeError,
      )
    })
  })
}

/** Tables, user chains, rules, and policies of DROP. */
const isTold = (line: string): boolean => /^(?:\*|-A)|- \[0:0\]$| DROP /.test(line)

async function codeOf(work: Promise<unknown>): Promise<string> {
  const [code] = await outcomeOf(work)
  return code
}

async function outcomeOf(work: Promise<unknown>): Promise<readonly [code: string, line: number | undefined]> {
  try {
    await work
    return ['no error', undefined]
  } catch (error) {
    if (error instanceof IptablesError) return [error.code, error.restore?.line.number]
    throw error
  }
}
