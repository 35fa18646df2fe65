import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import { IptablesError } from './iptables-error.js'
import type { Iptables } from './iptables.js'
import { createNamespace, describeKernel, enterNamespace, type Namespace } from './test-support/namespace.js'

const USED = { table: 'filter', chain: 'USED' }
const NOPE = { table: 'filter', chain: 'NOPE' }

const nobody = ['setpriv', '--reuid=65534', '--clear-groups']

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'no error'
  } catch (error) {
    if (error instanceof IptablesError) return error.code
    throw error
  }
}

describeKernel('what the installed iptables says when it fails', () => {
  const variants = (['nft', 'legacy'] as const).flatMap((variant) =>
    (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
  )

  describe.each(variants)('$variant, $family', ({ variant, family }) => {
    let namespace: Namespace
    let iptables: Iptables

    beforeAll(async () => {
      namespace = enterNamespace()
      iptables = await createIptables({ family, variant })
      await iptables.ensureChain(USED)
      const rule = { table: 'filter', chain: 'INPUT', rule: ['-j', 'USED'] }
      await iptables.ensureRule({ ...rule, position: 'append' })
    })
    afterAll(() => namespace.remove())

    const append = (...rule: readonly string[]): Promise<string> =>
      codeOf(iptables.ensureRule({ ...USED, position: 'append', rule }))

    /** legacy has no words for what the kernel refuses in a restore. */
    const restored = (line: string, code: string): readonly [string, string] =>
      [line, variant === 'legacy' ? 'RESTORE_FAILED' : code] as const

    test.each([
      [['-m', 'nosuch', '-j', 'ACCEPT'], 'NO_SUCH_CHAIN'],
      [['-j', 'NOPE'], 'NO_SUCH_CHAIN'],
      [['-p', 'tcp', '--nosuch', '1', '-j', 'ACCEPT'], 'UNKNOWN_OPTION'],
      [['-p', 'tcp', '--dport', 'nosuch', '-j', 'ACCEPT'], 'BAD_ARGUMENT'],
      // legacy's kernel has one answer for a missing match and for a missing object.
      [['-m', 'nfacct', '--nfacct-name', 'nosuch'], variant === 'nft' ? 'NO_KERNEL_SUPPORT' : 'NO_SUCH_CHAIN'],
    ])('a rule %j: %s', async (rule, code) => {
      expect(await append(...rule)).toBe(code)
    })

    test.each([
      ['a chain that is jumped to is deleted', () => iptables.deleteChain(USED), 'CHAIN_IN_USE'],
      ['a missing chain is deleted', () => iptables.deleteChain(NOPE), 'NO_SUCH_CHAIN'],
      ['a missing chain is flushed', () => iptables.flushChain(NOPE), 'NO_SUCH_CHAIN'],
      ['a missing table', () => iptables.ensureChain({ table: 'nosuch', chain: 'A' }), 'NO_KERNEL_SUPPORT'],
    ])('%s', async (_, attempt, code) => {
      expect(await codeOf(attempt())).toBe(code)
    })

    test.each<readonly [string, string]>([
      restored('-X USED', 'CHAIN_IN_USE'),
      restored('-X NOPE', 'NO_SUCH_CHAIN'),
      restored('-D USED -j DROP', 'NO_SUCH_RULE'),
      restored('-N USED', 'CHAIN_EXISTS'),
      restored('-A NOPE -j DROP', 'NO_SUCH_CHAIN'),
      restored('-A USED -m nfacct --nfacct-name nosuch', 'NO_KERNEL_SUPPORT'),
      ['-A USED -j NOPE', 'NO_SUCH_CHAIN'],
      ['-A USED -m nosuch', 'NO_SUCH_CHAIN'],
      ['-A USED --nosuch', 'UNKNOWN_OPTION'],
      ['hello', 'BAD_ARGUMENT'],
    ])('restoring %s: %s', async (line, code) => {
      const text = `*filter\n${line}\nCOMMIT\n`
      expect(await codeOf(iptables.restore({ text, flush: false, counters: false }))).toBe(code)
    })

    test('a missing chain is seen to be missing', async () => {
      expect(await iptables.hasChain(USED)).toBe(true)
      expect(await iptables.hasChain(NOPE)).toBe(false)
    })

    test('nobody may neither look nor change', async () => {
      const powerless = await createIptables({ family, variant, prefix: nobody })
      expect(await codeOf(powerless.save())).toBe('NO_PERMISSION')
      expect(await codeOf(powerless.ensureChain(USED))).toBe('NO_PERMISSION')
      const restore = powerless.restore({ text: '*filter\nCOMMIT\n', flush: false, counters: false })
      expect(await codeOf(restore)).toBe('NO_PERMISSION')
    })
  })

  test('an executable that is not there is not found behind other words either', async () => {
    const namespace = createNamespace()
    const options = { family: 'IPv4', folder: '/nonexistent', prefix: namespace.prefix } as const
    expect(await codeOf(createIptables(options))).toBe('NOT_FOUND')
    namespace.remove()
  })
})
