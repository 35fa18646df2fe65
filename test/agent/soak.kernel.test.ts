import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import type { RunningAgent } from './running-agent.js'
import { createSteadyChanges, type SteadyChanges } from './steady-changes.js'

/*
 * The agent under steady changes while things fail around it, in rounds. At the end of each round the changes stop, what failed
 * is put right, and everything has to be as if nothing had ever happened: the rules are those that `render` prints, and `audit`
 * finds nothing. `npm run soak:agent` is the long form; POINTSMAN_SEED repeats one.
 */

const IS_LONG = process.env['POINTSMAN_SOAK_AGENT'] === '1'
const { services, pauseMs, rounds, roundMs, faultsInRound, patienceMs } = IS_LONG
  ? { services: 2000, pauseMs: 20, rounds: 30, roundMs: 15_000, faultsInRound: 4, patienceMs: 60_000 }
  : { services: 200, pauseMs: 40, rounds: 4, roundMs: 4000, faultsInRound: 3, patienceMs: 45_000 }

const SEED = Number(process.env['POINTSMAN_SEED'] ?? (IS_LONG ? Date.now() % 1_000_000 : 7))
const LOG_BYTES = 8 * 1024 * 1024
const MOST_MEMORY_MB = IS_LONG ? 320 : 260

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Fault {
  readonly name: string
  readonly strike: () => void | Promise<unknown>
  /** Puts right what would not end by itself. */
  readonly heal?: () => void | Promise<unknown>
  /** It changes the proxy's own chains, which the agent then repairs. */
  readonly touchesRules?: true
}

describeIptables('the agent under faults', () => {
  const folder = temporaryFolder()
  const random = createRandom(SEED)
  const disk = folder.path('disk')
  const log = join(disk, 'log.db')
  const tools = folder.path('tools')
  let node: AgentNode
  let agent: RunningAgent
  let changes: SteadyChanges

  const offset = folder.path('clock-offset')
  const clock = folder.path('clock.mjs')
  const settings = ['--log', log, '--log-max-size', String(LOG_BYTES), '--iptables-sync-period', '5s']
  const start = (): RunningAgent =>
    node.startAfter(`export PATH=${tools}:$PATH NODE_OPTIONS=--import=${clock}`, ...settings)

  beforeAll(async () => {
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=700', 'none', disk])
    mkdirSync(tools)
    writeFileSync(offset, '0')
    writeFileSync(clock, clockOf(offset))
    for (const name of ['iptables-nft-restore', 'iptables-nft-save']) {
      writeFileSync(join(tools, name), wrapperOf(name))
      chmodSync(join(tools, name), 0o755)
    }
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(services))
    changes = createSteadyChanges(node.server, services, pauseMs)
  })
  afterAll(async () => {
    await changes.pause()
    await node.stopAll()
    node.remove()
    execFileSync('umount', ['--lazy', disk])
    folder.remove()
  })

  /** A command that may find what it is about gone, as while the agent is dead. */
  const attempt = (command: string): void => {
    try {
      node.run(command)
    } catch {
      // The chain is not there just now.
    }
  }
  const tool = (mode: 'fail' | 'hang' | undefined): void => {
    rmSync(join(tools, 'mode'), { force: true })
    if (mode !== undefined) writeFileSync(join(tools, 'mode'), mode)
  }

  const faults: readonly Fault[] = [
    {
      name: 'kill -9',
      async strike() {
        agent.signal('SIGKILL')
        await agent.ended
        agent = start()
      },
    },
    {
      name: 'SIGTERM',
      async strike() {
        agent.signal('SIGTERM')
        await agent.ended
        agent = start()
      },
    },
    { name: 'SIGSTOP', strike: () => agent.signal('SIGSTOP'), heal: () => agent.signal('SIGCONT') },
    { name: 'API server away', strike: () => node.server.goAway(), heal: () => node.server.comeBack() },
    {
      name: 'history compacted',
      async strike() {
        await node.server.compact()
        await node.server.disturb({ type: 'reset' })
      },
    },
    { name: 'watches cut', strike: () => node.server.disturb({ type: 'half-line', ending: 'cut' }) },
    { name: 'a garbage line', strike: () => node.server.disturb({ type: 'garbage-line' }) },
    { name: 'chain flushed', strike: () => attempt('iptables-nft -t nat -F KUBE-SERVICES'), touchesRules: true },
    { name: 'filter flushed', strike: () => attempt('iptables-nft -t filter -F KUBE-FORWARD'), touchesRules: true },
    {
      name: 'a foreign rule',
      strike: () => attempt('iptables-nft -t nat -I KUBE-SERVICES -d 10.96.250.1/32 -j ACCEPT'),
      touchesRules: true,
    },
    {
      name: 'a table of others',
      async strike() {
        for (let times = 0; times < 5; times += 1) {
          attempt('nft add table inet other')
          attempt('nft delete table inet other')
          await sleep(100)
        }
      },
    },
    {
      name: 'the clock jumps ahead',
      strike: () => writeFileSync(offset, String(HOUR_MS)),
      heal: () => writeFileSync(offset, '0'),
    },
    {
      name: 'the clock jumps back',
      strike: () => writeFileSync(offset, String(-HOUR_MS)),
      heal: () => writeFileSync(offset, '0'),
    },
    { name: 'iptables fails', strike: () => tool('fail'), heal: () => tool(undefined) },
    { name: 'iptables hangs', strike: () => tool('hang'), heal: () => tool(undefined) },
    {
      name: 'disk full',
      strike() {
        try {
          execFileSync('sh', ['-c', `head -c 40M /dev/zero > ${disk}/fill`], { stdio: 'ignore' })
        } catch {
          // It is full.
        }
      },
      heal: () => rmSync(join(disk, 'fill'), { force: true }),
    },
    {
      name: 'disk read-only',
      // The file system refuses where a file is open for writing; the fault is then left out.
      strike() {
        try {
          execFileSync('mount', ['-o', 'remount,ro', disk], { stdio: 'ignore' })
        } catch {
          // Busy.
        }
      },
      heal: () => void execFileSync('mount', ['-o', 'remount,rw', disk]),
    },
  ]

  const memoryMb = (): number => {
    const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1]
    return Math.round(Number(kb) / 1000)
  }

  test(
    `has the right rules at the end of each round (POINTSMAN_SEED=${SEED})`,
    { timeout: rounds * (roundMs + patienceMs) + 60_000 },
    async () => {
      agent = start()
      await node.converged(patienceMs)
      changes.resume()
      for (let round = 1; round <= rounds; round += 1) {
        const struck = Array.from(
          { length: faultsInRound },
          () => faults[Math.floor(random() * faults.length)] as Fault,
        )
        const story = `round ${round} of seed ${SEED}: ${struck.map(({ name }) => name).join(', ')}`
        const before = agent.said().length
        const first = agent
        for (const fault of struck) {
          await fault.strike()
          await sleep((roundMs / faultsInRound) * (0.3 + random()))
          await fault.heal?.()
        }
        await changes.pause()
        await node.converged(patienceMs).catch((error: unknown) => {
          throw new Error(`${story}\n${String(error)}\n${agent.said().slice(-3000)}`)
        })
        const { status, stdout, stderr } = await node.pointsman('audit', ...node.question())
        expect({ story, status, stdout, stderr }).toMatchObject({ story, status: 0 })
        if (!struck.some(({ touchesRules }) => touchesRules)) {
          const said = agent === first ? agent.said().slice(before) : agent.said()
          expect({ story, accused: /.*modified externally.*/.exec(said)?.[0] }).toEqual({ story, accused: undefined })
        }
        expect({ story, memoryMb: memoryMb() < MOST_MEMORY_MB }).toEqual({ story, memoryMb: true })
        expect({ story, bounded: statSync(log).size < 2 * LOG_BYTES }).toEqual({ story, bounded: true })
        if (IS_LONG)
          process.stdout.write(
            `${story}: ${memoryMb()} MB, log ${statSync(log).size} bytes, ${changes.count()} changes\n`,
          )
        changes.resume()
      }
      await changes.pause()
      agent.signal('SIGTERM')
      expect((await agent.ended).status).toBe(0)
      expect(agent.said()).not.toContain('this is a bug')
    },
  )
})

const HOUR_MS = 3_600_000

/** Loaded before the agent: the time of day is so many milliseconds off as the file says, at once or within 20 ms. */
const clockOf = (file: string): string => `
import { readFileSync } from 'node:fs'
const Real = Date
let offset = 0
const read = () => {
  const found = Number(readFileSync('${file}', 'utf8'))
  if (Number.isFinite(found)) offset = found
}
read()
setInterval(read, 20).unref()
globalThis.Date = class extends Real {
  constructor(...given) {
    super(...(given.length === 0 ? [Real.now() + offset] : given))
  }
  static now() {
    return Real.now() + offset
  }
}
`

/** A tool that does as a file beside it says: fails, or waits before it does its work. */
const wrapperOf = (name: string): string => `#!/bin/sh
folder=$(dirname "$0")
PATH=\${PATH#*:}
case "$(cat "$folder/mode" 2>/dev/null)" in
  fail) echo "${name}: the soak makes it fail" >&2; exit 4 ;;
  hang) sleep 2 ;;
esac
exec ${name} "$@"
`
