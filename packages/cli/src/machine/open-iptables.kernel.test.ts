import { describeKernel } from '@pointsman/core/testing'
import { IptablesError, type Run } from 'node-iptables'
import { expect, test } from 'vitest'
import type { Context } from '../context.js'
import { openIptables } from './open-iptables.js'

const asked: (number | undefined)[] = []

/** A machine without ip6tables. */
const run: Run = async ({ argv, timeoutMs }) => {
  asked.push(timeoutMs)
  if (argv[0]?.startsWith('ip6tables') === true) throw new IptablesError('NOT_FOUND', { argv })
  return { argv, exitCode: 0, signal: null, stdout: 'iptables v1.8.9 (nf_tables)\n', stderr: '' }
}

function world(): { readonly context: Context; readonly said: () => string } {
  let said = ''
  const plain = (text: string): string => text
  const context = {
    stderr: { write: (text: string) => (said += text) },
    errorStyle: { yellow: plain },
    interrupted: new AbortController().signal,
  } as unknown as Context
  return { context, said: () => said }
}

const both = { variant: 'nft', families: ['IPv4', 'IPv6'], run } as const

describeKernel('opening the tables', process.getuid?.() === 0 ? undefined : 'it needs root', () => {
  test('goes on with the family that is there, and says which is not', async () => {
    const { context, said } = world()
    const opened = await openIptables({ ...both, leaveOut: true }, context)
    expect(opened.map(({ family }) => family)).toEqual(['IPv4'])
    expect(said()).toMatch(/^warning: going on without this family: ip6tables-nft .*install iptables/)
  })

  test('goes on without IPv6 where the kernel has none, though its programs are installed', async () => {
    const { context, said } = world()
    const isInKernel = (family: string): boolean => family === 'IPv4'
    expect(await openIptables({ ...both, run: everything, leaveOut: true, isInKernel }, context)).toHaveLength(1)
    expect(said()).toContain('there is no IPv6')
  })

  test('fails where no family is there, and where one is not that was asked for', async () => {
    const { context } = world()
    const alone = { ...both, families: ['IPv6'] } as const
    await expect(openIptables({ ...alone, leaveOut: true }, context)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(openIptables(both, context)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('gives each command its time', async () => {
    asked.splice(0)
    const [iptables] = await openIptables({ ...both, families: ['IPv4'], timeoutMs: 7000 }, world().context)
    await iptables?.restore({ text: '*nat\nCOMMIT\n', flush: false, counters: false })
    await iptables?.save()
    expect(new Set(asked)).toEqual(new Set([7000]))
  })
})

const everything: Run = async ({ argv }) => ({
  argv,
  exitCode: 0,
  signal: null,
  stdout: `${argv[0] ?? ''} v1.8.9 (nf_tables)\n`,
  stderr: '',
})
