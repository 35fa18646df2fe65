import { copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, describe, it } from 'vitest'
import type { Run, RunRequest, RunResult } from '../run-process.js'
import { ownProcesses } from './watch-generations.js'

const RESTORE = ['ip', 'netns', 'exec', 'blue', '/usr/sbin/iptables-nft-restore', '--noflush']

/** Runs of which each has the next pid and ends when it is told to. */
function processes({ match, keepMs }: { readonly match: 'pid' | 'command'; readonly keepMs?: number }) {
  const ends: (() => void)[] = []
  const clock = { ms: 0 }
  const run: Run = ({ argv, onStart }) => {
    onStart?.(100 + ends.length)
    return new Promise<RunResult>((resolve) =>
      ends.push(() => resolve({ argv, exitCode: 0, signal: null, stdout: '', stderr: '' })),
    )
  }
  const own = ownProcesses({ run, match, keepMs, now: () => clock.ms })
  return { ...own, ends, clock }
}

describe('own processes, by pid', () => {
  it('are known from their start until some time after their end', async () => {
    const { run, isOwn, ends, clock } = processes({ match: 'pid', keepMs: 1000 })
    const running = run({ argv: RESTORE })
    clock.ms = 5000
    expect([100, 101].map((pid) => isOwn({ pid, command: 'iptables-nft-re' }))).toEqual([true, false])
    ends[0]?.()
    await running
    clock.ms = 6000
    expect(isOwn({ pid: 100, command: 'x' })).toBe(true)
    clock.ms = 6001
    expect(isOwn({ pid: 100, command: 'x' })).toBe(false)
  })

  it('are told to whoever asked for their number', async () => {
    const { run, ends } = processes({ match: 'pid' })
    const pids: number[] = []
    const running = run({ argv: RESTORE, onStart: (pid) => pids.push(pid) })
    ends[0]?.()
    expect((await running).argv).toEqual(RESTORE)
    expect(pids).toEqual([100])
  })
})

describe('own processes, by command', () => {
  it('are whatever has the name of one that runs, as the kernel shortens it', async () => {
    const { run, isOwn, ends, clock } = processes({ match: 'command' })
    const names = (): readonly boolean[] =>
      ['iptables-nft-re', 'iptables-nft', 'ufw'].map((command) => isOwn({ pid: 31_000, command }))
    expect(names()).toEqual([false, false, false])
    const running = run({ argv: RESTORE })
    expect(names()).toEqual([true, false, false])
    ends[0]?.()
    await running
    clock.ms = 2001
    expect(names()).toEqual([false, false, false])
  })
})

it('programs are started under a name of their own where links can be made, and as ever where not', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'own-'))
  const folder = join(parent, 'links')
  const started: RunRequest[] = []
  const run: Run = async (request) => {
    started.push(request)
    return { argv: request.argv, exitCode: 0, signal: null, stdout: '', stderr: '' }
  }
  const script = join(parent, 'iptables-save')
  writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 })
  const binary = join(parent, 'iptables-restore')
  copyFileSync(process.execPath, binary)
  const own = ownProcesses({ run, match: 'command', folder })
  for (const program of [binary, script, 'conntrack', join(parent, 'iptables-none')]) await own.run({ argv: [program] })
  const [first, ...others] = started
  expect(realpathSync(first?.file ?? '')).toBe(realpathSync(binary))
  expect(first?.argv).toEqual([binary])
  expect(others.map(({ file }) => file)).toEqual([undefined, undefined, undefined])
  const name = basename(first?.file ?? '')
  expect(name.length).toBeLessThanOrEqual(15)
  const judged = [name, 'iptables-restor', 'iptables-save', 'conntrack'].map((command) =>
    own.isOwn({ pid: 1, command }),
  )
  expect(judged).toEqual([true, false, true, true])

  const nowhere = ownProcesses({ run, match: 'command', folder: join(script, 'no-folder') })
  await nowhere.run({ argv: [binary] })
  expect(started.at(-1)?.file).toBeUndefined()
  expect(nowhere.isOwn({ pid: 1, command: 'iptables-restor' })).toBe(true)
  rmSync(parent, { recursive: true })
})
