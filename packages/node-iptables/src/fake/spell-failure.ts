import type { Family } from '../detect-variant.js'
import type { Variant } from '../iptables.js'
import type { IptablesParseError, IptablesParseErrorCode } from '../rules/parse-rule.js'
import type { RefusedAt } from './restore-program.js'

/** Why a line is refused, in the way of the program or of the kernel that refuses it. */
export type Refusal =
  /** iptables itself, for what the line says: exit status 2. */
  | { readonly type: 'usage'; readonly says: string }
  /** iptables itself, for what the table has: exit status 1. */
  | { readonly type: 'state'; readonly says: StateRefusal }
  | KernelRefusal

type StateRefusal =
  | 'No chain/target/match by that name.'
  | 'Chain already exists.'
  | 'Bad rule (does a matching rule exist in that chain?).'
  | 'Index of insertion too big.'
  | 'Index of deletion too big.'
  | 'Bad built-in chain name.'
  | 'Bad policy name.'
  | 'Directory not empty.'
  | 'Too many links.'
  | 'Invalid argument.'

/** The kernel, when the table is committed: nft says of which step, legacy nothing. */
export interface KernelRefusal {
  readonly type: 'kernel'
  readonly step: KernelStep
  readonly reason: KernelReason
  /** `rule in chain A`, `chain A` */
  readonly object: string
}

export type KernelStep = 'RULE_APPEND' | 'RULE_INSERT' | 'CHAIN_DEL'

export type KernelReason =
  | 'Invalid argument'
  | 'No such file or directory'
  | 'Operation not supported'
  | 'Too many links'
  | 'Device or resource busy'
  | 'Cannot allocate memory'

export const usage = (says: string): Refusal => ({ type: 'usage', says })
export const state = (says: StateRefusal): Refusal => ({ type: 'state', says })

/** How a process ends: what runProcess tells of it. */
export interface Ending {
  /** Null: a signal ended it. */
  readonly exitCode: number | null
  readonly stderr: string
}

export interface Program {
  readonly variant: Variant
  readonly family: Family
}

/** The version that the fake is a model of, and whose words it uses. */
export const FAKE_VERSION = '1.8.9'

export const nameOf = ({ family }: Program): string => (family === 'IPv4' ? 'iptables' : 'ip6tables')

export const versionOf = ({ variant }: Program): string =>
  `v${FAKE_VERSION} (${variant === 'nft' ? 'nf_tables' : 'legacy'})`

/** What a restore says when a line is refused. */
export function restoreEnding(program: Program, { refusal, line }: RefusedAt): Ending {
  const { variant } = program
  const name = restoreName(program)
  switch (refusal.type) {
    case 'usage': {
      const where = `Error occurred at line: ${line}\n`
      if (refusal.says.startsWith(BAD_ARGUMENT)) return { exitCode: 2, stderr: `${refusal.says}\n${where}` }
      return { exitCode: 2, stderr: `${name} ${versionOf(program)}: ${refusal.says}\n${where}${adviceOf(name)}` }
    }
    case 'state':
      return { exitCode: 1, stderr: `${name}: line ${line} failed${variant === 'nft' ? `: ${refusal.says}` : ''}\n` }
    case 'kernel':
      if (variant === 'legacy') return { exitCode: 1, stderr: `${name}: line ${line} failed\n` }
      return { exitCode: 4, stderr: `${name} ${versionOf(program)}: \nline ${line}: ${spellStep(refusal)}\n` }
  }
}

/** What iptables says when one command is refused. */
export function commandEnding(program: Program, refusal: Refusal): Ending {
  const name = nameOf(program)
  switch (refusal.type) {
    case 'usage':
      if (refusal.says.startsWith(BAD_ARGUMENT)) return { exitCode: 2, stderr: `${refusal.says}\n${adviceOf(name)}` }
      return { exitCode: 2, stderr: `${name} ${versionOf(program)}: ${refusal.says}\n${adviceOf(name)}` }
    case 'state':
      return { exitCode: 1, stderr: `${name}: ${refusal.says}\n` }
    case 'kernel':
      if (program.variant === 'legacy') return { exitCode: 1, stderr: `${name}: ${LEGACY_WORDS[refusal.reason]}\n` }
      return { exitCode: 4, stderr: `${name} ${versionOf(program)}:  ${spellStep(refusal)}\n` }
  }
}

/** The line is none of those that stand there: no table is open, or the input ends before COMMIT. */
export const misplacedLine = (program: Program, line: number): Ending => ({
  exitCode: 1,
  stderr: `${restoreName(program)}: line ${line} failed\n`,
})

export const commitExpected = (program: Program, line: number): Ending => ({
  exitCode: 1,
  stderr: `${restoreName(program)}: COMMIT expected at line ${line}\n`,
})

export function unknownTable(program: Program, table: string): string {
  if (program.variant === 'nft') return `table '${table}' does not exist`
  return `can't initialize ${nameOf(program)} table \`${table}': Table does not exist (do you need to insmod?)`
}

/** The line of a restore that names a table which the kernel does not have. */
export const unknownRestoreTable = (
  program: Program,
  { table, line }: { readonly table: string; readonly line: number },
): Refusal =>
  usage(
    program.variant === 'nft'
      ? `${restoreName(program)}: line ${line} table name '${table}' invalid`
      : `${restoreName(program)}: unable to initialize table '${table}'\n`,
  )

/** What iptables says where our parser refuses a line. */
export function refusalOf({ code, found = '' }: IptablesParseError): Refusal {
  if (code === 'UNKNOWN_OPTION' && found.startsWith('-')) return usage(`unknown option "${found}"`)
  const words = WORDS_FOR_CODES.get(code)
  return usage(words === undefined ? `${BAD_ARGUMENT} \`${found}'` : words(found))
}

const WORDS_FOR_CODES: ReadonlyMap<IptablesParseErrorCode, (found: string) => string> = new Map([
  ['MISSING_VALUE', (found) => `option "${found}" requires an argument`],
  ['REPEATED_OPTION', (found) => `multiple ${found} flags not allowed`],
  ['BAD_NAME', (found) => `Invalid chain name \`${found}'`],
  ['BAD_VALUE', (found) => `invalid value \`${found}' specified`],
])

const BAD_ARGUMENT = 'Bad argument'

const LEGACY_WORDS: { readonly [reason in KernelReason]: string } = {
  'Invalid argument': "Invalid argument. Run `dmesg' for more information.",
  'No such file or directory': 'No chain/target/match by that name.',
  'Operation not supported': "Invalid argument. Run `dmesg' for more information.",
  'Too many links': 'Too many levels of symbolic links.',
  'Device or resource busy': 'Too many links.',
  'Cannot allocate memory': 'Memory allocation problem.',
}

const spellStep = ({ step, reason, object }: Extract<Refusal, { type: 'kernel' }>): string =>
  `${step} failed (${reason}): ${object}`

const restoreName = (program: Program): string => `${nameOf(program)}${program.variant === 'nft' ? '-nft' : ''}-restore`

const adviceOf = (name: string): string => `Try \`${name} -h' or '${name} --help' for more information.\n`
