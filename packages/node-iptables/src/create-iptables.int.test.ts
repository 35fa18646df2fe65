import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import { IptablesError } from './iptables-error.js'
import type { Iptables } from './iptables.js'
import type { Run } from './run-process.js'
import { createOldIptables, type OldIptables, type OldVersion } from './test-support/old-iptables.js'

const VERSIONS: readonly OldVersion[] = ['1.4.10', '1.4.19', '1.4.20', '1.4.21-backports', '1.6.1', '1.6.2', '1.8.9']

const TEST = { table: 'nat', chain: 'TEST' }
const OTHER = { table: 'nat', chain: 'OTHER' }
const RULES = '*nat\n:TEST - [0:0]\n-A TEST -s 10.0.0.1/32 -j RETURN\nCOMMIT\n'

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'no error'
  } catch (error) {
    if (error instanceof IptablesError) return error.code
    throw error
  }
}

/** Another program that has the lock until it is ended. */
const hold = async (file: string): Promise<ChildProcess> => {
  const holder = spawn('flock', ['--no-fork', file, 'sh', '-c', 'echo held; exec sleep 1000'])
  await once(holder.stdout, 'data')
  return holder
}

/** Whether somebody waits for the file's lock, as /proc/locks tells, within 4 seconds. */
const isWaitedFor = async (file: string): Promise<boolean> => {
  const place = `:${statSync(file).ino} `
  for (const end = performance.now() + 4000; performance.now() < end; await setImmediate()) {
    const locks = readFileSync('/proc/locks', 'utf8').split('\n')
    if (locks.some((line) => line.includes('->') && line.includes(place))) return true
  }
  return false
}

interface Opened {
  readonly old: OldIptables
  readonly iptables: Iptables
}

type AtEnd = (work: () => void) => void

const open = async (
  version: OldVersion,
  atEnd: AtEnd,
  { waitSeconds = 5, inProcess = false }: { readonly waitSeconds?: number; readonly inProcess?: boolean } = {},
): Promise<Opened> => {
  const old = createOldIptables(version, { inProcess })
  atEnd(() => old.remove())
  const iptables = await createIptables({ family: 'IPv4', run: old.run, lockFile: old.lockFile, waitSeconds })
  return { old, iptables }
}

describe.concurrent.each(VERSIONS)('iptables %s', (version) => {
  test('chains are made once, found, flushed and deleted', async ({ onTestFinished }) => {
    const { iptables } = await open(version, onTestFinished, { inProcess: true })
    expect(await iptables.hasChain(TEST)).toBe(false)
    expect(await iptables.ensureChain(TEST)).toEqual({ existed: false })
    expect(await iptables.ensureChain(TEST)).toEqual({ existed: true })
    expect(await iptables.hasChain(TEST)).toBe(true)
    await iptables.ensureRule({ ...TEST, position: 'append', rule: ['-j', 'RETURN'] })
    expect(await codeOf(iptables.deleteChain(TEST))).toBe('CHAIN_IN_USE')
    await iptables.flushChain(TEST)
    await iptables.deleteChain(TEST)
    expect(await codeOf(iptables.flushChain(TEST))).toBe('NO_SUCH_CHAIN')
  })

  test('rules are added first or last, once, found however they are spelled, and deleted', async ({
    onTestFinished,
  }) => {
    const { iptables } = await open(version, onTestFinished, { inProcess: true })
    await iptables.ensureChain(TEST)
    await iptables.ensureChain(OTHER)
    const web = {
      ...TEST,
      rule: ['-m', 'comment', '--comment', 'a "b" c', '-p', 'tcp', '-d', '10.0.0.1', '--dport', '80', '-j', 'OTHER'],
    }
    const all = { ...TEST, rule: ['--jump', 'ACCEPT'] }
    expect(await iptables.checkRule(web)).toBe(false)
    expect(await iptables.ensureRule({ ...all, position: 'append' })).toEqual({ existed: false })
    expect(await iptables.ensureRule({ ...web, position: 'prepend' })).toEqual({ existed: false })
    expect(await iptables.ensureRule({ ...web, position: 'append' })).toEqual({ existed: true })
    expect((await iptables.save({ table: 'nat' })).split('\n').filter((line) => line.startsWith('-A'))).toEqual([
      String.raw`-A TEST -d 10.0.0.1/32 -p tcp -m comment --comment "a \"b\" c" -m tcp --dport 80 -j OTHER`,
      '-A TEST -j ACCEPT',
    ])
    expect(await codeOf(iptables.deleteChain(OTHER))).toBe('CHAIN_IN_USE')
    expect(await iptables.deleteRule(web)).toEqual({ existed: true })
    expect(await iptables.deleteRule(web)).toEqual({ existed: false })
    expect(await iptables.checkRule(web)).toBe(false)
    expect(await iptables.checkRule({ ...all, chain: 'NOWHERE' })).toBe(false)
  })

  test('tables are restored and saved, whole and line by line', async ({ onTestFinished }) => {
    const { iptables } = await open(version, onTestFinished, { inProcess: true })
    expect(await iptables.save({ table: 'nat' })).toBe('')
    await iptables.ensureChain(OTHER)
    await iptables.restore({ text: RULES, flush: false, counters: false })
    const saved = await iptables.save({ table: 'nat' })
    expect(saved).toContain(':OTHER - [0:0]')
    expect(saved).toContain('-A TEST -s 10.0.0.1/32 -j RETURN')
    const lines: string[] = []
    for await (const line of iptables.saveLines({ table: 'nat' })) lines.push(line)
    expect(`${lines.join('\n')}\n`).toBe(saved)
    await iptables.restore({ text: RULES, flush: true, counters: true })
    expect(await iptables.save()).not.toContain('OTHER')
  })

  test('a restore that is refused names the line', async ({ onTestFinished }) => {
    const { iptables } = await open(version, onTestFinished, { inProcess: true })
    const text = '*nat\n:TEST - [0:0]\n-A TEST -j NOWHERE\nCOMMIT\n'
    await expect(iptables.restore({ text, flush: false, counters: false })).rejects.toMatchObject({
      code: 'NO_SUCH_CHAIN',
      restore: { line: { number: 3, text: '-A TEST -j NOWHERE' } },
    })
    expect(await iptables.save()).not.toContain('TEST')
  })
})

// What is run, with `locked: ` where the command runs under our lock.
describe.concurrent('the lock', () => {
  const under = 'locked: iptables -t nat -N TEST, locked: iptables-restore --noflush'
  test.for<readonly [OldVersion, string]>([
    ['1.4.10', under],
    ['1.4.19', under],
    ['1.4.20', 'iptables -w -t nat -N TEST, locked: iptables-restore --noflush'],
    ['1.4.21-backports', 'iptables -w -t nat -N TEST, iptables-restore --noflush --wait=5'],
    ['1.6.1', 'iptables -w 5 -t nat -N TEST, locked: iptables-restore --noflush'],
    ['1.6.2', 'iptables -w 5 -t nat -N TEST, iptables-restore --noflush --wait=5'],
    ['1.8.9', 'iptables -w 5 -t nat -N TEST, iptables-restore --noflush --wait=5'],
  ])('%s waits for it, or is run under it: %s', async ([version, expected], { onTestFinished }) => {
    const { old, iptables } = await open(version, onTestFinished)
    await iptables.ensureChain(TEST)
    await iptables.restore({ text: RULES, flush: false, counters: false })
    expect(old.calls().join(', ')).toBe(expected)
  })

  test.for(VERSIONS)('%s says who has it, after the time to wait', async (version, { onTestFinished }) => {
    const { old, iptables } = await open(version, onTestFinished, { waitSeconds: 1 })
    const holder = await hold(old.lockFile)
    const error = { code: 'LOCK_HELD', lockHolder: { pid: holder.pid, command: 'sleep' } }
    const restore = { text: RULES, flush: false, counters: false }
    // 1.4.20 looks at its socket alone; with what was brought back to 1.4.21, `-w` waits as long as it takes.
    const changes = version.startsWith('1.4.2') ? [] : [iptables.ensureChain(TEST)]
    for (const result of await Promise.allSettled([iptables.restore(restore), ...changes])) {
      expect(result).toMatchObject({ status: 'rejected', reason: error })
    }
    holder.kill()
    await once(holder, 'exit')
    await iptables.restore(restore)
    expect(await iptables.hasChain(TEST)).toBe(true)
  })

  test.for(VERSIONS)('%s goes on once it is free', async (version, { onTestFinished }) => {
    const { old, iptables } = await open(version, onTestFinished)
    const file = version === '1.4.20' ? old.socketFile : old.lockFile
    const holder = await hold(file)
    const waiting = iptables.ensureChain(TEST)
    expect(await Promise.race([waiting, isWaitedFor(file)])).toBe(true)
    holder.kill()
    expect(await waiting).toEqual({ existed: false })
  })

  test.for<OldVersion>(['1.4.10', '1.4.20'])(
    '%s gives up after a limit on time, and does nothing later',
    async (version, { onTestFinished }) => {
      const { old, iptables } = await open(version, onTestFinished)
      const holder = await hold(version === '1.4.20' ? old.socketFile : old.lockFile)
      expect(await codeOf(iptables.ensureChain(TEST, { timeoutMs: 500 }))).toBe('TIMED_OUT')
      holder.kill()
      await once(holder, 'exit')
      // Has the lock after whatever was still waiting for it.
      await iptables.ensureChain(OTHER)
      expect(await iptables.hasChain(TEST)).toBe(false)
    },
  )

  test('a restore may wait longer than the rest, and never less than a second', async ({ onTestFinished }) => {
    const { old, iptables } = await open('1.6.2', onTestFinished)
    await iptables.restore({ text: RULES, flush: false, counters: false, waitSeconds: 30 })
    expect(old.calls()).toEqual(['iptables-restore --noflush --wait=30'])
    const restore = iptables.restore({ text: RULES, flush: false, counters: false, waitSeconds: 0 })
    await expect(restore).rejects.toThrow(/waitSeconds: 0: give whole seconds from 1/)
    await expect(open('1.6.2', onTestFinished, { waitSeconds: 0.5 })).rejects.toThrow(
      /waitSeconds: 0\.5: give whole seconds from 1/,
    )
  })
})

describe.concurrent('which executables', () => {
  test('the plain ones of before 1.8 serve for legacy, and not for nft', async ({ onTestFinished }) => {
    const { old } = await open('1.6.1', onTestFinished)
    const options = { family: 'IPv4', folder: old.folder, run: old.run, lockFile: old.lockFile } as const
    const iptables = await createIptables({ ...options, variant: 'legacy' })
    expect(iptables.capabilities).toMatchObject({ variant: 'legacy', version: '1.6.1' })
    await iptables.ensureChain(TEST)
    expect(old.calls()).toEqual([`iptables -w 5 -t nat -N TEST`])
    expect(await codeOf(createIptables({ ...options, variant: 'nft' }))).toBe('NOT_FOUND')
  })

  test('those of IPv6 have tables of their own', async ({ onTestFinished }) => {
    const { old, iptables } = await open('1.4.10', onTestFinished)
    const second = await createIptables({ family: 'IPv6', run: old.run, lockFile: old.lockFile })
    const rule = { ...TEST, rule: ['-s', 'fd00::1', '-j', 'RETURN'] }
    await second.ensureChain(TEST)
    await second.ensureRule({ ...rule, position: 'append' })
    expect(await second.checkRule(rule)).toBe(true)
    expect(await iptables.hasChain(TEST)).toBe(false)
  })

  const hints = { chains: ['HINT'], prefix: 'HINT' }
  const rule = '*nat\n-A OUTPUT -j ACCEPT\nCOMMIT\n'
  const lacking = 'iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument'
  test.each([
    [
      'a kernel without nf_tables',
      { 'iptables-nft-save': lacking, 'ip6tables-nft-save': lacking },
      'the only one installed',
    ],
    [
      'a kernel without IPv6 in nf_tables',
      { 'iptables-legacy-save': rule, 'ip6tables-nft-save': lacking },
      'more rules',
    ],
  ])('on %s there is legacy', async (_, outputs: Readonly<Record<string, string>>, because) => {
    const run: Run = async ({ argv, onOutput }) => {
      const said = outputs[argv[0] ?? ''] ?? ''
      const isError = said === lacking
      if (argv[1] !== '--version' && !isError) await onOutput?.(said)
      const stdout = argv[1] === '--version' ? 'iptables v1.8.9 (legacy)' : ''
      return { argv, exitCode: isError ? 4 : 0, signal: null, stdout, stderr: isError ? said : '' }
    }
    const { choice } = await createIptables({ family: 'IPv4', hints, run })
    expect(choice).toMatchObject({ variant: 'legacy', because })
  })
})
