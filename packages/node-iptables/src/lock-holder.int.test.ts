import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { holderIn, lockHolderOf } from './xtables-lock.js'

it('names the process that holds a lock file, and nobody when it is free', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lock-holder-'))
  const file = join(folder, 'xtables.lock')
  writeFileSync(file, '')
  expect(await lockHolderOf(file)).toBeUndefined()
  expect(await lockHolderOf(join(folder, 'none'))).toBeUndefined()

  const holder = spawn('flock', ['--no-fork', file, 'sh', '-c', 'echo held; exec sleep 1000'])
  await once(holder.stdout, 'data')
  await expect.poll(() => lockHolderOf(file)).toEqual({ pid: holder.pid, command: 'sleep' })
  holder.kill()
  await once(holder, 'exit')
  rmSync(folder, { recursive: true })
})

it.each([
  ['held', '1: FLOCK  ADVISORY  WRITE 42 fe:00:17 0 EOF', 42],
  ['waited for', '1: FLOCK  ADVISORY  WRITE 42 fe:00:17 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 43 fe:00:17 0 EOF', 42],
  ['held from another pid namespace', '1: FLOCK  ADVISORY  WRITE 0 fe:00:17 0 EOF', undefined],
  ['another file', '1: FLOCK  ADVISORY  WRITE 42 fe:00:170 0 EOF', undefined],
  ['another device', '1: FLOCK  ADVISORY  WRITE 42 fe:01:17 0 EOF', undefined],
  ['another kind of lock', '1: POSIX  ADVISORY  WRITE 42 fe:00:17 0 EOF', undefined],
])('reads /proc/locks: %s', (_, locks, pid) => {
  expect(holderIn(locks, { dev: 0xfe00, ino: 17 })).toBe(pid)
})
