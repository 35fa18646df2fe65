import { IptablesParseError } from '../rules/parse-rule.js'
import { parseRestoreLine, type RestoreLine } from '../rules/restore-line.js'
import { quoteWord } from '../rules/values.js'
import type { KernelTables } from './kernel-tables.js'
import { hookOf } from './built-in-chains.js'
import type { Operation } from './apply-operation.js'
import { type Refusal, state, usage } from './refusal.js'
import { operationOf, tableSession } from './restore-program.js'
import { commandEnding, type Ending, nameOf, refusalOf, unknownTable, versionOf } from './spell-failure.js'

/** `iptables -t TABLE COMMAND CHAIN ...`: one change, or one look. */
export function commandProgram(tables: KernelTables, args: readonly string[]): Ending {
  const { program } = tables
  const { table: name, words } = withoutWait(args)
  const table = tables.open(name)
  if (table === undefined) {
    const says = `${unknownTable(program, name)}\nPerhaps iptables or your kernel needs to be upgraded.`
    return { exitCode: 3, stderr: `${nameOf(program)} ${versionOf(program)}: ${says}\n` }
  }
  const [command = '', chain = '', ...rest] = words
  if (command === '-S') return listing(tables, { table: name, chain })
  const operation = operationIn(tables, { table: name, command, rest: [chain, ...rest] })
  if ('refusal' in operation) return commandEnding(program, operation.refusal)
  const session = tableSession(table, { variant: program.variant, noflush: true })
  const refused = session.add(operation, 1) ?? session.commit(1)
  return refused === undefined ? DONE : commandEnding(program, refused.refusal)
}

const DONE: Ending = { exitCode: 0, stderr: '' }

function withoutWait(args: readonly string[]): { readonly table: string; readonly words: readonly string[] } {
  const at = args.indexOf('-t')
  return { table: args[at + 1] ?? 'filter', words: args.slice(at + 2) }
}

function listing(tables: KernelTables, { table, chain }: { readonly table: string; readonly chain: string }): Ending {
  const { program } = tables
  if (hookOf(table, chain) !== undefined || tables.open(table)?.chains.has(chain) === true) return DONE
  if (program.variant === 'legacy') return commandEnding(program, state('No chain/target/match by that name.'))
  const says = `chain \`${chain}' in table \`${table}' is incompatible, use 'nft' tool.`
  return { exitCode: 1, stderr: `${nameOf(program)} ${versionOf(program)}: ${says}\n` }
}

interface CommandWords {
  readonly table: string
  readonly command: string
  readonly rest: readonly string[]
}

/** The command as a line of a restore, which has the same words. `-C` reads its rule as `-D` does. */
function operationIn(
  tables: KernelTables,
  { table, command, rest }: CommandWords,
): Operation | { readonly refusal: Refusal } {
  const words = [command === '-C' ? '-D' : command, ...rest.map((word) => lineWord(word))]
  try {
    const line: RestoreLine = parseRestoreLine(words.join(' '), 1)
    if (line.type === 'blank' || line.type === 'comment' || line.type === 'table' || line.type === 'commit') {
      return { refusal: usage(`Bad argument \`${command}'`) }
    }
    const operation = operationOf(line, { tables, table, counters: false })
    return command === '-C' && 'type' in operation && operation.type === 'delete'
      ? { ...operation, type: 'check' }
      : operation
  } catch (error) {
    if (error instanceof IptablesParseError) return { refusal: refusalOf(error) }
    throw error
  }
}

/** Bare where it can be: the spelling of words that nobody knows is kept. */
const lineWord = (word: string): string =>
  /^[^\s"\\\p{Cc}]+$/u.test(word) ? word : (quoteWord(word) ?? JSON.stringify(word))
