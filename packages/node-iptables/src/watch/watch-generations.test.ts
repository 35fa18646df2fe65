import { describe, expect, it } from 'vitest'
import { IptablesError } from '../iptables-error.js'
import type { RunRequest, RunResult } from '../run-process.js'
import type { TableChange } from './watch-changes.js'
import { type OpenNetlink, watchGenerations } from './watch-generations.js'

/** A monitor's life: what it prints, and how it ends. */
interface Life {
  readonly prints?: string
  readonly ends: Partial<RunResult> | IptablesError
}

const argv = ['nft', 'monitor']
const DEAD: Life = { ends: { exitCode: 1, stderr: 'no' } }
const MISSING: Life = { ends: new IptablesError('NOT_FOUND', { argv }) }
const gen = (number: number, pid = 7): string => `add table ip x\n# new generation ${number} by process ${pid} (ufw)\n`

interface ToldOptions {
  readonly onChange?: (change: TableChange) => void
  readonly netlink?: OpenNetlink
}

/** What a watch over monitors that live one after the other tells and how long it waits; the last one is aborted. */
async function toldBy(lives: readonly Life[], { onChange, netlink }: ToldOptions = {}): Promise<readonly string[]> {
  const told: string[] = []
  const abort = new AbortController()
  const waiting = [...lives]
  const run = async (request: RunRequest): Promise<RunResult> => {
    const life = waiting.shift()
    if (life?.prints !== undefined) await request.onOutput?.(life.prints)
    if (life === undefined) {
      abort.abort()
      throw new IptablesError('ABORTED', { argv })
    }
    if (life.ends instanceof IptablesError) throw life.ends
    return { argv: request.argv, exitCode: 0, signal: null, stdout: '', stderr: '', ...life.ends }
  }
  await watchGenerations({
    netlink,
    argv,
    run,
    isOwn: ({ pid }) => pid === 1,
    restart: { minMs: 100, maxMs: 400 },
    sleep: async (ms) => void told.push(`wait ${ms}`),
    signal: abort.signal,
    onChange: onChange ?? ((change) => told.push(textOf(change))),
    onError: (error) => told.push(error instanceof IptablesError ? errorText(error) : String(error)),
    onListening: (listening) => {
      if (listening.type === 'listening') told.push(`${listening.by} since ${listening.since}`)
      else if (listening.error !== undefined) told.push('deaf')
    },
  })
  return told
}

const textOf = (change: TableChange): string =>
  change.type === 'generation' ? `${change.generation} by ${change.pid} ${change.command}` : change.type

const errorText = ({ code, stderr, cause }: IptablesError): string =>
  [code, stderr, ...(cause instanceof IptablesError ? [cause.code] : [])].filter((text) => text !== '').join(' ')

const HEARD = ['monitor since 2', 'changes-unseen', '3 by 7 ufw']

describe('generations', () => {
  it('are told but for our own, after a word that those before the first were not heard', async () => {
    expect(await toldBy([{ prints: gen(3) + gen(4, 1) + gen(5), ends: DEAD.ends }])).toEqual([
      ...HEARD,
      '5 by 7 ufw',
      'deaf',
      'MONITOR_ENDED no',
      'wait 100',
    ])
  })

  it('that are left out between two are told as unseen', async () => {
    expect((await toldBy([{ prints: gen(3) + gen(6) + gen(7), ends: DEAD.ends }])).slice(0, 6)).toEqual([
      ...HEARD,
      'changes-unseen',
      '6 by 7 ufw',
      '7 by 7 ufw',
    ])
  })

  it('that were lost are told as unseen, once, by what nft says', async () => {
    const prints = `${gen(3)}# ERROR: We lost some netlink events!\n${gen(6)}`
    expect((await toldBy([{ prints, ends: DEAD.ends }])).slice(0, 5)).toEqual([
      ...HEARD,
      'changes-unseen',
      '6 by 7 ufw',
    ])
  })

  it('made while no monitor ran are told as unseen when the next one is made', async () => {
    const lives = [
      { prints: gen(3), ends: DEAD.ends },
      { prints: gen(5), ends: DEAD.ends },
    ]
    expect((await toldBy(lives)).slice(6, 9)).toEqual(['monitor since 4', 'changes-unseen', '5 by 7 ufw'])
  })
})

describe('a monitor', () => {
  it('that is not there is told once, and tried again ever more seldom', async () => {
    const told = await toldBy([MISSING, MISSING, MISSING, MISSING])
    expect(told.filter((text) => text !== 'deaf')).toEqual([
      'MONITOR_ENDED NOT_FOUND',
      'wait 100',
      'wait 200',
      'wait 400',
      'wait 400',
    ])
  })

  it('that ends again after it worked is told again, and soon started', async () => {
    const told = await toldBy([DEAD, DEAD, { prints: gen(3), ends: DEAD.ends }, DEAD])
    expect(told.filter((text) => text !== 'deaf')).toEqual([
      'MONITOR_ENDED no',
      'wait 100',
      'wait 200',
      ...HEARD,
      'MONITOR_ENDED no',
      'wait 100',
      'wait 200',
    ])
  })

  it('that was overrun, as xtables-monitor says in the end, has missed changes', async () => {
    const stderr = 'cannot receive from nfnetlink socket: No buffer space available'
    expect(await toldBy([{ prints: gen(3), ends: { exitCode: 1, stderr } }])).toEqual([
      ...HEARD,
      'deaf',
      'changes-unseen',
      'wait 100',
    ])
  })

  it('is not hidden by a callback that throws: the watch fails with it', async () => {
    const onChange = (): never => {
      throw new Error('a bug of the caller')
    }
    await expect(toldBy([{ prints: gen(3), ends: DEAD.ends }], { onChange })).rejects.toThrow('a bug of the caller')
  })
})

/** The watches that netlink gives one after the other: since which generation, what each reports, and whether it fails then. */
function netlinkOf(...watches: readonly { since: number; reports?: readonly (number | 'missed')[] }[]): OpenNetlink {
  const waiting = [...watches]
  return async ({ onGeneration, onMissed }) => {
    const { since, reports = [] } = waiting.shift() ?? {}
    if (since === undefined) throw new Error('refused')
    const report = async (): Promise<never> => {
      // As from the event loop.
      await new Promise(setImmediate)
      for (const id of reports) {
        if (id === 'missed') onMissed()
        else onGeneration({ id, pid: id === 9 ? 1 : 7, processName: 'ufw' })
      }
      throw new Error('the socket failed')
    }
    return { since, ended: report(), close: () => undefined }
  }
}

describe('the kernel, listened to in this process', () => {
  it('is heard from the start, without a monitor', async () => {
    const told = await toldBy([], { netlink: netlinkOf({ since: 7, reports: [8, 9, 10] }) })
    expect(told).toEqual([
      'netlink since 7',
      '8 by 7 ufw',
      '10 by 7 ufw',
      'deaf',
      'Error: the socket failed',
      'wait 100',
    ])
  })

  it('says once what it missed', async () => {
    const told = await toldBy([], { netlink: netlinkOf({ since: 7, reports: ['missed', 12] }) })
    expect(told.slice(0, 3)).toEqual(['netlink since 7', 'changes-unseen', '12 by 7 ufw'])
  })

  it('is listened to again, and what changed in between is told as unseen, nothing where nothing did', async () => {
    const changed = await toldBy([], { netlink: netlinkOf({ since: 7, reports: [8] }, { since: 9 }) })
    expect(changed.slice(5, 7)).toEqual(['changes-unseen', 'netlink since 9'])
    const unchanged = await toldBy([], { netlink: netlinkOf({ since: 7, reports: [8] }, { since: 8 }) })
    expect(unchanged.slice(5, 7)).toEqual(['netlink since 8', 'deaf'])
  })

  it('is left to a monitor where that is refused', async () => {
    const told = await toldBy([{ prints: gen(3), ends: DEAD.ends }], { netlink: netlinkOf() })
    expect(told.slice(0, 3)).toEqual(HEARD)
  })

  it('does not hide what a callback throws', async () => {
    const onChange = (): never => {
      throw new Error('a bug of the caller')
    }
    const netlink = netlinkOf({ since: 7, reports: [8] })
    await expect(toldBy([], { netlink, onChange })).rejects.toThrow('a bug of the caller')
  })
})
