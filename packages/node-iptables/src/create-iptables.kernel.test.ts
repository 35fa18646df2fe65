import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import { IptablesError } from './iptables-error.js'
import type { Iptables } from './iptables.js'
import { createNamespace, describeKernel, type Namespace } from './test-support/namespace.js'

const TEST = { table: 'nat', chain: 'TEST' }
const OTHER = { table: 'nat', chain: 'OTHER' }

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'no error'
  } catch (error) {
    if (error instanceof IptablesError) return error.code
    throw error
  }
}

describeKernel('iptables in a namespace of its own', () => {
  const variants = (['nft', 'legacy'] as const).flatMap((variant) =>
    (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
  )

  describe.each(variants)('$variant, $family', ({ variant, family }) => {
    let namespace: Namespace
    let iptables: Iptables

    beforeEach(async () => {
      namespace = createNamespace()
      iptables = await createIptables({ family, variant, prefix: namespace.prefix })
    })
    afterEach(() => namespace.remove())

    /** The rules of the nat table, as the kernel has them. */
    const rules = async (): Promise<readonly string[]> =>
      (await iptables.save({ table: 'nat' })).split('\n').filter((line) => line.startsWith('-A'))

    test('the variant is what was asked for', () => {
      expect(iptables.capabilities).toMatchObject({ variant, check: true, randomFully: true })
    })

    test('chains are made once, flushed and deleted', async () => {
      expect(await iptables.ensureChain(TEST)).toEqual({ existed: false })
      expect(await iptables.ensureChain(TEST)).toEqual({ existed: true })
      await iptables.ensureRule({ ...TEST, position: 'append', rule: ['-j', 'RETURN'] })
      expect(await codeOf(iptables.deleteChain(TEST))).toBe('CHAIN_IN_USE')
      await iptables.flushChain(TEST)
      await iptables.deleteChain(TEST)
      expect(await codeOf(iptables.flushChain(TEST))).toBe('NO_SUCH_CHAIN')
    })

    test('a chain is found where it is, and looking makes nothing', async () => {
      expect(await iptables.hasChain(TEST)).toBe(false)
      expect(await iptables.save()).toBe('')
      await iptables.ensureChain(TEST)
      expect(await iptables.hasChain(TEST)).toBe(true)
      expect(await iptables.hasChain({ ...TEST, chain: 'TES' })).toBe(false)
      expect(await iptables.hasChain({ ...TEST, table: 'mangle' })).toBe(false)
    })

    test('a chain that is jumped to is not deleted', async () => {
      await iptables.ensureChain(TEST)
      await iptables.ensureChain(OTHER)
      await iptables.ensureRule({ ...OTHER, position: 'append', rule: ['-j', 'TEST'] })
      expect(await codeOf(iptables.deleteChain(TEST))).toBe('CHAIN_IN_USE')
    })

    test('rules are added first or last, once, found and deleted', async () => {
      await iptables.ensureChain(TEST)
      const web = {
        ...TEST,
        rule: ['-p', 'tcp', '-m', 'comment', '--comment', 'a "b" c', '--dport', '80', '-j', 'RETURN'],
      }
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
    })

    test('a restore of one table leaves what it does not name, and what was saved is restored', async () => {
      await iptables.ensureChain(OTHER)
      const text = '*nat\n:TEST - [0:0]\n-A TEST -p tcp -m tcp --dport 80 -j RETURN\nCOMMIT\n'
      await iptables.restore({ text, flush: false, counters: false })
      const saved = await iptables.save({ table: 'nat' })
      expect(saved).toContain(':OTHER - [0:0]')
      expect(await rules()).toEqual(['-A TEST -p tcp -m tcp --dport 80 -j RETURN'])
      await iptables.restore({ text: '*nat\nCOMMIT\n', flush: true, counters: false })
      expect(await rules()).toEqual([])
      await iptables.restore({ text: saved, flush: true, counters: false })
      expect(await rules()).toEqual(['-A TEST -p tcp -m tcp --dport 80 -j RETURN'])
    })

    test('a save comes line by line as it comes whole', async () => {
      const text = '*nat\n:TEST - [0:0]\n-A TEST -j RETURN\nCOMMIT\n*filter\nCOMMIT\n'
      await iptables.restore({ text, flush: false, counters: false })
      const withoutTimes = (lines: readonly string[]): readonly string[] => lines.filter((line) => !/^#|^$/.test(line))
      for (const options of [{ table: 'nat' }, {}]) {
        const lines: string[] = []
        for await (const line of iptables.saveLines(options)) lines.push(line)
        expect(withoutTimes(lines)).toContain('-A TEST -j RETURN')
        expect(withoutTimes(lines)).toEqual(withoutTimes((await iptables.save(options)).split('\n')))
      }
    })

    test('a restore that is refused names the line, and changes nothing', async () => {
      const text = '*nat\n:TEST - [0:0]\n-A TEST -j RETURN\n-A TEST -p tcp --no-such-option 1 -j RETURN\nCOMMIT\n'
      await expect(iptables.restore({ text, flush: false, counters: false })).rejects.toMatchObject({
        code: 'UNKNOWN_OPTION',
        restore: { line: { number: 4, text: '-A TEST -p tcp --no-such-option 1 -j RETURN' } },
      })
      expect(await iptables.save({ table: 'nat' })).not.toContain('TEST')
    })

    test('a call that was given up says so', async () => {
      expect(await codeOf(iptables.save({}, { signal: AbortSignal.abort() }))).toBe('ABORTED')
    })
  })
})
