import { setTimeout as sleep } from 'node:timers/promises'
import type { KubernetesObject } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'
import { node as nodeObject, service, slice } from '@pointsman/core/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { holdWriteLock } from '../../packages/core/src/io/sqlite/test-support/hold-write-lock.js'
import { listsAskedOf, webService, webSlice } from '../source/world.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import type { RunningAgent } from './running-agent.js'
import { createSteadyChanges, type SteadyChanges } from './steady-changes.js'
import { createStoppingRestore, type RestoreStep, type StoppingRestore } from './stopping-restore.js'

const SERVICES = 40
const isSoak = process.env['POINTSMAN_SOAK'] === '1'
/** How often the agent is killed at each named step, and at random moments. */
const [KILLS_PER_STEP, RANDOM_KILLS] = isSoak ? [20, 100] : [1, 1]

const RESTORE_STEPS: readonly { readonly step: RestoreStep; readonly name: string }[] = [
  { step: 'before', name: 'before a restore' },
  { step: 'half', name: "with one of a restore's tables written" },
  { step: 'after', name: 'after a restore, before the sync is recorded' },
]

describeIptables('an agent that is killed while changes go on', () => {
  const folder = temporaryFolder()
  const kills = new Map<string, number>()
  const tookMs: number[] = []
  let node: AgentNode
  let changes: SteadyChanges
  let restore: StoppingRestore
  let agent: RunningAgent

  // The time between two syncs is when events are in the log, and not in the rules.
  const start = (): RunningAgent => node.startWith(restore.path, '--iptables-min-sync-period', '300ms')

  beforeAll(async () => {
    node = await createAgentNode(folder)
    restore = createStoppingRestore(folder.path('bin'))
    changes = createSteadyChanges(node.server, SERVICES)
    await node.server.put(nodeObject({ name: 'node-a' }))
    for (let index = 0; index < SERVICES; index++) {
      await changes.put(webService(index))
      await changes.put(webSlice(index))
    }
    await changes.put(service({ name: 'marked', spec: { clusterIP: '10.97.0.1' } }))
    agent = start()
    await agent.hasSaid(/synced everything/)
    changes.resume()
  })
  afterAll(async () => {
    await changes.pause()
    node.remove()
    folder.remove()
    const slowest = Math.round(Math.max(...tookMs))
    console.log(
      `kills: ${JSON.stringify(Object.fromEntries(kills))}; ${changes.count()} changes; rules right ${slowest} ms after a start at the latest`,
    )
  })

  let marks = 0
  /** A slice that can be told in the rules by its address. */
  const mark = async (): Promise<{ readonly object: KubernetesObject; readonly address: string }> => {
    const address = `10.250.${++marks >> 8}.${marks & 255}`
    return { address, object: await changes.put(slice({ name: 'marked-1', service: 'marked', endpoints: [address] })) }
  }
  const isInRules = (address: string): boolean => node.run('iptables-nft-save -t nat').includes(`${address}:8080`)
  const isInLog = ({ metadata: { resourceVersion } }: KubernetesObject): boolean => {
    const reader = openChangeLog(node.log)
    const [newest] = reader.records({
      types: ['object'],
      object: { namespace: 'shop', name: 'marked-1' },
      descending: true,
      limit: 1,
    })
    reader.close()
    return newest?.type === 'object' && newest.resourceVersion === resourceVersion
  }

  const kill = async (step: string): Promise<void> => {
    agent.signal('SIGKILL')
    expect(await agent.ended).toEqual({ status: null, signal: 'SIGKILL' })
    kills.set(step, (kills.get(step) ?? 0) + 1)
  }

  /** Starts the agent again, while changes go on as they did when it was dead. */
  const expectNothingMissed = async (): Promise<void> => {
    await sleep(100)
    const { address } = await mark()
    expect(isInRules(address)).toBe(false)
    agent = start()
    const startedAt = performance.now()
    await sleep(300)
    await changes.pause()
    await node.converged(60_000)
    tookMs.push(performance.now() - startedAt)
    await expect.poll(() => changes.missingIn(node.log), { timeout: 10_000 }).toEqual([])
    expect(listsAskedOf({ requests: await node.server.requests() })).toBe(3)
    changes.resume()
  }

  const times = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1)

  test.each(times(KILLS_PER_STEP))('before an append misses nothing (%i)', async () => {
    const release = holdWriteLock(node.log)
    const { object } = await mark()
    await sleep(100)
    expect(isInLog(object)).toBe(false)
    await kill('before an append')
    release()
    await expectNothingMissed()
  })

  test.each(times(KILLS_PER_STEP))('with rules that its log does not know takes them back (%i)', async () => {
    const release = holdWriteLock(node.log)
    const { object, address } = await mark()
    await expect.poll(() => isInRules(address), { timeout: 10_000 }).toBe(true)
    expect(isInLog(object)).toBe(false)
    await kill('after rules, before the append')
    release()
    await changes.remove(object)
    await expectNothingMissed()
    expect(isInRules(address)).toBe(false)
  })

  test.each(times(KILLS_PER_STEP))('between append and sync brings what the log has into force (%i)', async () => {
    // A sync may have come between the two looks.
    const isCaught = async (): Promise<boolean> => {
      const { object, address } = await mark()
      await expect.poll(() => isInLog(object), { timeout: 10_000, interval: 5 }).toBe(true)
      agent.signal('SIGSTOP')
      if (!isInRules(address)) return true
      agent.signal('SIGCONT')
      return false
    }
    await expect.poll(isCaught, { timeout: 20_000 }).toBe(true)
    await kill('between append and sync')
    await expectNothingMissed()
  })

  test.each(RESTORE_STEPS.flatMap(({ step, name }) => times(KILLS_PER_STEP).map((time) => ({ step, name, time }))))(
    '$name puts right what that left ($time)',
    async ({ step, name }) => {
      const stopped = await restore.stopAt(step)
      if (step === 'half') expect(stopped.tables).toBeGreaterThan(1)
      await kill(name)
      await expectNothingMissed()
      // What is left of it would write rules whenever it goes on.
      expect(agent.said()).toMatch(
        new RegExp(`ended \\S+ \\(process ${stopped.pid}\\), which an agent that was killed had started`),
      )
      // It is gone once init has asked what became of it, which may be a second later.
      await expect.poll(() => isThere(stopped.pid)).toBe(false)
    },
  )

  test.each(times(RANDOM_KILLS))('at any moment is right again within seconds (%i)', async () => {
    await sleep(Math.random() * 700)
    await kill('at any moment')
    await expectNothingMissed()
  })

  test.each(times(RANDOM_KILLS))('while it starts is right again within seconds (%i)', async () => {
    agent.signal('SIGKILL')
    await agent.ended
    agent = start()
    await sleep(Math.random() * 1000)
    await kill('while it starts')
    await expectNothingMissed()
  })
})

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
