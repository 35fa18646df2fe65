import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import type { Iptables } from './iptables.js'
import { enterNamespace, describeKernel, type Namespace } from './test-support/namespace.js'

const TEST = { table: 'nat', chain: 'TEST' }
const RESTORE = { text: '*nat\n:TEST - [0:0]\nCOMMIT\n', flush: false, counters: false }

describeKernel('a lock file of its own, held by another program', () => {
  const folder = mkdtempSync(join(tmpdir(), 'xtables-lock-'))
  const lockFile = join(folder, 'xtables.lock')
  let namespace: Namespace
  let holder: ChildProcess

  beforeAll(() => {
    namespace = enterNamespace()
  })
  afterAll(() => {
    namespace.remove()
    rmSync(folder, { recursive: true })
  })
  beforeEach(async () => {
    const held = spawn('flock', ['--no-fork', lockFile, 'sh', '-c', 'echo held; exec sleep 1000'])
    holder = held
    await once(held.stdout, 'data')
  })
  afterEach(() => holder.kill())

  const open = (variant: 'nft' | 'legacy'): Promise<Iptables> =>
    createIptables({ family: 'IPv4', variant, lockFile, waitSeconds: 1 })

  test('legacy gives up after the time to wait, and the holder is named', async () => {
    const iptables = await open('legacy')
    const attempts = [iptables.ensureChain(TEST), iptables.restore(RESTORE)]
    for (const result of await Promise.allSettled(attempts)) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'LOCK_HELD', exitCode: 4, lockHolder: { pid: holder.pid, command: 'sleep' } },
      })
    }
    expect(await iptables.save()).not.toContain('TEST')
  })

  test('legacy goes on once the lock is free', async () => {
    const iptables = await open('legacy')
    holder.kill()
    await once(holder, 'exit')
    await iptables.restore(RESTORE)
    expect(await iptables.hasChain(TEST)).toBe(true)
  })

  test('nft takes no lock', async () => {
    const iptables = await open('nft')
    expect(await iptables.ensureChain(TEST)).toEqual({ existed: false })
    await iptables.restore(RESTORE)
  })
})
