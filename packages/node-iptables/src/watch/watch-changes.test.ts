import { describe, expect, it } from 'vitest'
import { createIptables } from '../create-iptables.js'
import { IptablesError } from '../iptables-error.js'
import type { Run } from '../run-process.js'
import { watchChanges } from './watch-changes.js'

/** Every look of iptables fails, or with `hang` never ends; what is aborted ends a little later. */
function programs({ hang = false } = {}) {
  const monitors: string[] = []
  const run: Run = async ({ argv, signal }) => {
    const ended = { argv, exitCode: 0, signal: null, stdout: 'iptables v1.8.9 (nf_tables)\n', stderr: '' }
    const isMonitor = argv.includes('monitor')
    if (!isMonitor && !argv.includes('-S')) return ended
    if (!isMonitor && !hang) return { ...ended, exitCode: 3, stderr: 'Killed' }
    if (isMonitor) monitors.push('started')
    await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    await new Promise(setImmediate)
    if (isMonitor) monitors.push('ended')
    throw new IptablesError('ABORTED', { argv })
  }
  return { run, monitors }
}

describe('a watch', () => {
  it('settles when its monitor has ended, and what was given up for it is no error', async () => {
    const { run, monitors } = programs({ hang: true })
    const iptables = await createIptables({ family: 'IPv4', run })
    const abort = new AbortController()
    const told: unknown[] = []
    const tell = (what: unknown): void => void told.push(what)
    const monitor = { run, program: 'nft', isOwn: () => false } as const
    const canary = { iptables: [iptables], chain: 'CANARY' }
    const watch = watchChanges({ canary, monitor, signal: abort.signal, onChange: tell, onError: tell })
    abort.abort()
    await watch
    expect(monitors).toEqual(['started', 'ended'])
    expect(told).toEqual([])
  })

  it('that was ended before it began starts nothing', async () => {
    const { run, monitors } = programs()
    const iptables = await createIptables({ family: 'IPv4', run })
    const tell = (): void => expect.unreachable()
    await watchChanges({
      canary: { iptables: [iptables], chain: 'CANARY' },
      monitor: { run, program: 'nft', isOwn: () => false },
      signal: AbortSignal.abort(),
      onChange: tell,
      onError: tell,
    })
    expect(monitors).toEqual([])
  })

  it('ends and fails with what a callback throws', async () => {
    const { run, monitors } = programs()
    const iptables = await createIptables({ family: 'IPv4', run })
    const watch = watchChanges({
      canary: { iptables: [iptables], chain: 'CANARY' },
      monitor: { run, program: 'nft', isOwn: () => false },
      signal: new AbortController().signal,
      onChange: () => undefined,
      onError: () => {
        throw new Error('a bug of the caller')
      },
    })
    await expect(watch).rejects.toThrow('a bug of the caller')
    expect(monitors).toEqual(['started', 'ended'])
  })
})
