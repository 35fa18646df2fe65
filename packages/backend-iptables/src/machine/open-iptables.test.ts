import { IptablesError, type Run } from 'node-iptables'
import { describe, expect, test } from 'vitest'
import { openIptables } from './open-iptables.js'

const asked: (number | undefined)[] = []

/** A machine without ip6tables. */
const run: Run = async ({ argv, timeoutMs }) => {
  asked.push(timeoutMs)
  if (argv[0]?.startsWith('ip6tables') === true) throw new IptablesError('NOT_FOUND', { argv })
  return { argv, exitCode: 0, signal: null, stdout: 'iptables v1.8.9 (nf_tables)\n', stderr: '' }
}

const world = () => {
  const said: string[] = []
  const machine = {
    requireNetAdmin: () => undefined,
    signal: new AbortController().signal,
    warn: (message: string) => void said.push(message),
  }
  return { machine, said }
}

const both = { variant: 'nft', families: ['IPv4', 'IPv6'], run } as const

describe('opening the tables', () => {
  test('goes on with the family that is there, and says which is not', async () => {
    const { machine, said } = world()
    const opened = await openIptables({ ...both, leaveOut: true }, machine)
    expect(opened.map(({ family }) => family)).toEqual(['IPv4'])
    expect(said.join()).toMatch(/^continuing without this family: ip6tables-nft .*install iptables/)
  })

  test('goes on without IPv6 where the kernel has none, though its programs are installed', async () => {
    const { machine, said } = world()
    const isInKernel = (family: string): boolean => family === 'IPv4'
    expect(await openIptables({ ...both, run: everything, leaveOut: true, isInKernel }, machine)).toHaveLength(1)
    expect(said.join()).toContain('there is no IPv6')
  })

  test('fails where no family is there, and where one is not that was asked for', async () => {
    const { machine } = world()
    const alone = { ...both, families: ['IPv6'] } as const
    await expect(openIptables({ ...alone, leaveOut: true }, machine)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(openIptables(both, machine)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('fails before anything runs where the process may not', async () => {
    asked.splice(0)
    const refuse = (): never => {
      throw new Error('run it as root')
    }
    const machine = { ...world().machine, requireNetAdmin: refuse }
    await expect(openIptables(both, machine)).rejects.toThrow('run it as root')
    expect(asked).toEqual([])
  })

  test('gives each command its time', async () => {
    asked.splice(0)
    const [iptables] = await openIptables({ ...both, families: ['IPv4'], timeoutMs: 7000 }, world().machine)
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
