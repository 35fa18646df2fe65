import { describe, expect, it } from 'vitest'
import { IptablesError } from '../iptables-error.js'
import type { RunRequest, RunResult } from '../run-process.js'
import type { TableChange } from './watch-changes.js'
import { watchGenerations } from './watch-generations.js'

/** A monitor's life: what it prints, and how it ends. */
interface Life {
  readonly prints?: string
  readonly ends: Partial<RunResult> | IptablesError
}

const argv = ['nft', 'monitor']
const DEAD: Life = { ends: { exitCode: 1, stderr: 'no' } }
const MISSING: Life = { ends: new IptablesError('NOT_FOUND', { argv }) }
const gen = (number: number, pid = 7): string => `add table ip x\n# new generation ${number} by process ${pid} (ufw)\n`

/** What a watch over monitors that live one after the other tells and how long it waits; the last one is aborted. */
async function toldBy(lives: readonly Life[], onChange?: (change: TableChange) => void): Promise<readonly string[]> {
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
    argv,
    run,
    isOwn: ({ pid }) => pid === 1,
    restart: { minMs: 100, maxMs: 400 },
    sleep: async (ms) => void told.push(`wait ${ms}`),
    signal: abort.signal,
    onChange: onChange ?? ((change) => told.push(textOf(change))),
    onError: (error) => told.push(error instanceof IptablesError ? errorText(error) : String(error)),
  })
  return told
}

const textOf = (change: TableChange): string =>
  change.type === 'generation' ? `${change.generation} by ${change.pid} ${change.command}` : change.type

const errorText = ({ code, stderr, cause }: IptablesError): string =>
  [code, stderr, ...(cause instanceof IptablesError ? [cause.code] : [])].filter((text) => text !== '').join(' ')

describe('generations', () => {
  it('are told but for our own', async () => {
    expect(await toldBy([{ prints: gen(3) + gen(4, 1) + gen(5), ends: DEAD.ends }])).toEqual([
      '3 by 7 ufw',
      '5 by 7 ufw',
      'MONITOR_ENDED no',
      'wait 100',
    ])
  })

  it('that are left out between two are told as unseen', async () => {
    expect((await toldBy([{ prints: gen(3) + gen(6) + gen(7), ends: DEAD.ends }])).slice(0, 4)).toEqual([
      '3 by 7 ufw',
      'changes-unseen',
      '6 by 7 ufw',
      '7 by 7 ufw',
    ])
  })

  it('that were lost are told as unseen, once, by what nft says', async () => {
    const prints = `${gen(3)}# ERROR: We lost some netlink events!\n${gen(6)}`
    expect((await toldBy([{ prints, ends: DEAD.ends }])).slice(0, 3)).toEqual([
      '3 by 7 ufw',
      'changes-unseen',
      '6 by 7 ufw',
    ])
  })

  it('made while no monitor ran are told as unseen when the next one is made', async () => {
    const lives = [
      { prints: gen(3), ends: DEAD.ends },
      { prints: gen(5), ends: DEAD.ends },
    ]
    expect((await toldBy(lives)).slice(3, 5)).toEqual(['changes-unseen', '5 by 7 ufw'])
  })
})

describe('a monitor', () => {
  it('that is not there is told once, and tried again ever more seldom', async () => {
    expect(await toldBy([MISSING, MISSING, MISSING, MISSING])).toEqual([
      'MONITOR_ENDED NOT_FOUND',
      'wait 100',
      'wait 200',
      'wait 400',
      'wait 400',
    ])
  })

  it('that ends again after it worked is told again, and soon started', async () => {
    expect(await toldBy([DEAD, DEAD, { prints: gen(3), ends: DEAD.ends }, DEAD])).toEqual([
      'MONITOR_ENDED no',
      'wait 100',
      'wait 200',
      '3 by 7 ufw',
      'MONITOR_ENDED no',
      'wait 100',
      'wait 200',
    ])
  })

  it('that was overrun, as xtables-monitor says in the end, has missed changes', async () => {
    const stderr = 'cannot receive from nfnetlink socket: No buffer space available'
    expect(await toldBy([{ prints: gen(3), ends: { exitCode: 1, stderr } }])).toEqual([
      '3 by 7 ufw',
      'changes-unseen',
      'wait 100',
    ])
  })

  it('is not hidden by a callback that throws: the watch fails with it', async () => {
    const watch = toldBy([{ prints: gen(3), ends: DEAD.ends }], () => {
      throw new Error('a bug of the caller')
    })
    await expect(watch).rejects.toThrow('a bug of the caller')
  })
})
