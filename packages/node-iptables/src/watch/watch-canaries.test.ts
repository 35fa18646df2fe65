import { describe, expect, it } from 'vitest'
import { createIptables } from '../create-iptables.js'
import { IptablesError } from '../iptables-error.js'
import type { Run, RunResult } from '../run-process.js'
import { watchCanaries } from './watch-changes.js'

const RULE = ['-j', 'RETURN']

/** Tables that know chains, each with its rules, and the few commands of a canary. */
class Tables {
  readonly chains = new Map<string, string[]>()
  /** What a command, such as `-N nat`, says once in place of doing anything. */
  readonly refusals = new Map<string, string>()

  readonly run: Run = async ({ argv }) => {
    if (argv.includes('--version')) return result(argv, 'iptables v1.8.9 (nf_tables)\n')
    const [, , , , table = '', command = '', chain = '', ...rule] = argv
    const refusal = this.refusals.get(`${command} ${table}`)
    this.refusals.delete(`${command} ${table}`)
    if (refusal !== undefined) return refused(argv, refusal)
    const key = `${table} ${chain}`
    const rules = this.chains.get(key)
    if (command === '-N' && rules === undefined) this.chains.set(key, [])
    else if (command === '-A') rules?.push(rule.join(' '))
    else if (rules === undefined) return refused(argv, 'No chain/target/match by that name.')
    else if (command === '-N') return refused(argv, 'Chain already exists.')
    else if (command === '-C' && !rules.includes(rule.join(' '))) return refused(argv, 'does a matching rule exist')
    return result(argv)
  }
}

const result = (argv: readonly string[], stdout = ''): RunResult => ({
  argv,
  exitCode: 0,
  signal: null,
  stdout,
  stderr: '',
})
const refused = (argv: readonly string[], stderr: string): RunResult => ({ ...result(argv), exitCode: 1, stderr })

/** What a watch of nat and filter tells before the first look, and after each of the things that somebody does. */
async function toldAfter(
  doings: readonly ((tables: Tables) => void)[],
  rule?: readonly string[],
): Promise<readonly (readonly string[])[]> {
  const tables = new Tables()
  const abort = new AbortController()
  const told: string[][] = [[]]
  const waiting = [...doings]
  const tell = (text: string): void => void told.at(-1)?.push(text)
  await watchCanaries({
    iptables: [await createIptables({ family: 'IPv4', variant: 'nft', run: tables.run })],
    tables: ['nat', 'filter'],
    chain: 'CANARY',
    rule,
    intervalMs: 30_000,
    timeoutMs: 1000,
    sleep: async () => {
      const next = waiting.shift()
      if (next === undefined) return abort.abort()
      told.push([])
      next(tables)
    },
    signal: abort.signal,
    onChange: (change) => tell('tables' in change ? `${change.type} ${change.tables.join()}` : change.type),
    onError: (error) => tell(error instanceof IptablesError ? error.code : String(error)),
  })
  return told
}

const nothing = (): void => undefined
const deleteFrom =
  (...names: readonly string[]) =>
  ({ chains }: Tables): void => {
    for (const name of names) chains.delete(`${name} CANARY`)
  }
const flush = ({ chains }: Tables): void => {
  for (const rules of chains.values()) rules.splice(0)
}

describe('canaries', () => {
  it('are made without a word, and told once each time that they are gone', async () => {
    expect(await toldAfter([nothing, deleteFrom('nat'), nothing, deleteFrom('nat', 'filter'), nothing, flush])).toEqual(
      [[], [], ['canary-gone nat'], [], ['canary-gone nat,filter'], [], []],
    )
  })

  it('that are gone are told though others cannot be looked at, and those at the next look', async () => {
    const heldWhileBothGo = (tables: Tables): void => {
      deleteFrom('nat', 'filter')(tables)
      tables.refusals.set('-S nat', 'Another app is currently holding the xtables lock')
    }
    expect(await toldAfter([heldWhileBothGo, nothing, nothing])).toEqual([
      [],
      ['LOCK_HELD', 'canary-gone filter'],
      ['canary-gone nat'],
      [],
    ])
  })

  it('that cannot be made again are told once, and tried again', async () => {
    const goneAndRefused = (tables: Tables): void => {
      deleteFrom('nat')(tables)
      tables.refusals.set('-N nat', 'iptables: Permission denied')
    }
    expect(await toldAfter([goneAndRefused, nothing, deleteFrom('nat')])).toEqual([
      [],
      ['canary-gone nat', 'NO_PERMISSION'],
      [],
      ['canary-gone nat'],
    ])
  })

  it('with a rule show a flush that deletes no chain', async () => {
    expect(await toldAfter([nothing, flush, nothing, deleteFrom('filter'), nothing], RULE)).toEqual([
      [],
      [],
      ['canary-flushed nat,filter'],
      [],
      ['canary-gone filter'],
      [],
    ])
  })
})
