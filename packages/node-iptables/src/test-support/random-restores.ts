import type { Family } from '../detect-variant.js'
import { hooksOf } from '../fake/kernel-table.js'
import type { RandomChoices } from './random-numbers.js'
import { randomRule } from './random-rules.js'

export interface RandomRestore {
  readonly text: string
  readonly flush: boolean
  readonly counters: boolean
}

/** A restore of a few lines: few names of chains, so that they meet; about half of them are refused. */
export function randomRestore(choices: RandomChoices, family: Family): RandomRestore {
  const tables = choices.oneIn(3) ? 1 + choices.below(3) : 1
  const lines = Array.from({ length: tables }, () => randomTable(choices, family)).flat()
  if (choices.oneIn(60))
    lines.splice(choices.below(lines.length + 1), 0, choices.pick(['hello', 'COMMIT', '*raw', '# x', '']))
  if (choices.oneIn(60)) lines.pop()
  const text = lines.map((line) => `${line}\n`).join('')
  return { text, flush: choices.oneIn(4), counters: choices.oneIn(4) }
}

const USER_CHAINS = ['A', 'B', 'C', 'KUBE-X'] as const

function randomTable(choices: RandomChoices, family: Family): string[] {
  const table = choices.pick(['nat', 'nat', 'nat', 'filter', 'filter', 'mangle', 'raw', 'security'])
  const hooks = hooksOf(table)
  const [hook = 'INPUT', ...otherHooks] = hooks
  const builtIn = (): string => choices.pick([hook, ...otherHooks])
  const chainName = (): string => (choices.oneIn(3) ? builtIn() : choices.pick(USER_CHAINS))
  const rule = (): string =>
    randomRule({ choices, family, table, chains: choices.oneIn(12) ? [chainName(), 'NOWHERE'] : USER_CHAINS })
  const counters = (): string => (choices.oneIn(6) ? `[${choices.below(9)}:${choices.below(900)}] ` : '')
  const declared = USER_CHAINS.filter(() => !choices.oneIn(4)).map((chain) => `:${chain} - [0:0]`)
  /** nft looks for what it deletes among the rules that a chain's line has just emptied, too: not there. */
  const keptChain = (): string => {
    const name = chainName()
    return declared.includes(`:${name} - [0:0]`) ? builtIn() : name
  }
  const command = (): string =>
    choices.pick<() => string>([
      () => `${counters()}-A ${chainName()} ${rule()}`,
      () => `${counters()}-A ${chainName()} ${rule()}`,
      () => `${counters()}-A ${chainName()} ${rule()}`,
      () => `-A ${chainName()} -j ${choices.pick(USER_CHAINS)}`,
      () => `-I ${chainName()} ${choices.pick(['', '1 '])}${rule()}`,
      // Not into a chain that the same restore may have emptied: nft then counts the rules that were there.
      () => `-I ${builtIn()} ${choices.pick(['2 ', '3 '])}${rule()}`,
      () => `-D ${keptChain()} ${choices.pick(['1', '2', '-j RETURN', '-j A', '-j ACCEPT'])}`,
      () => `-F${choices.oneIn(8) ? '' : ` ${chainName()}`}`,
      // Not a built-in chain: there nft's answer hangs on what it happens to have read of the chain's rules.
      () => `-X${choices.oneIn(8) ? '' : ` ${choices.pick(USER_CHAINS)}`}`,
      () => `-N ${chainName()}`,
      () => `-P ${chainName()} ${choices.pick(['ACCEPT', 'DROP', 'DROP', 'RETURN'])}`,
      () => `:${builtIn()} ${choices.pick(['ACCEPT', 'DROP', '-'])} [${choices.below(3)}:7]`,
    ])()
  const drawn = Array.from({ length: choices.below(6) }, command)
  // nft inserts before the rule that was there, and fails when that one is deleted later in the restore.
  const hasPosition = drawn.some((line) => /^-I \S+ [23]/.test(line))
  // A -X of all chains takes empty built-in ones too, on nft, by the policy that they had before the restore.
  const hasPolicy = drawn.some((line) => /^(?::|-P)/.test(line))
  const commands = drawn.filter((line) => !(hasPosition && line.startsWith('-D')) && !(hasPolicy && line === '-X'))
  // A rule that was just added can be deleted by its words.
  const added = commands.find((line) => line.startsWith('-A'))
  const deleted = added !== undefined && !hasPosition && choices.oneIn(6) ? [added.replace('-A', '-D')] : []
  return [`*${table}`, ...(choices.oneIn(5) ? [] : declared), ...commands, ...deleted, 'COMMIT']
}
