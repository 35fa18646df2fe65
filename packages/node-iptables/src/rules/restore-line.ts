import { formatRule, IptablesFormatError } from './format-rule.js'
import { IptablesParseError, parseRule, type IptablesParseErrorCode } from './parse-rule.js'
import { assertNever, type Counters, type Rule } from './rule.js'
import { isBareName, numberOf, splitWords, UINT32, type Word } from './values.js'

/** One line of what iptables-save prints or iptables-restore reads. */
export type RestoreLine =
  | { readonly type: 'blank' }
  | { readonly type: 'comment'; readonly text: string }
  | { readonly type: 'table'; readonly table: string }
  /** `:NAME POLICY [0:0]`; a user chain has no policy. iptables-save always prints the counters. */
  | { readonly type: 'chain'; readonly chain: string; readonly policy?: string; readonly counters?: Counters }
  | { readonly type: 'append'; readonly chain: string; readonly rule: Rule; readonly counters?: Counters }
  /** Positions count from 1. */
  | {
      readonly type: 'insert'
      readonly chain: string
      readonly position: number
      readonly rule: Rule
      readonly counters?: Counters
    }
  | { readonly type: 'delete'; readonly chain: string; readonly rule: Rule }
  | { readonly type: 'delete-at'; readonly chain: string; readonly position: number }
  | { readonly type: 'new-chain'; readonly chain: string }
  /** Undefined: all chains of the table. */
  | { readonly type: 'flush'; readonly chain?: string }
  /** Undefined: all chains that are no built-in ones. */
  | { readonly type: 'delete-chain'; readonly chain?: string }
  | { readonly type: 'policy'; readonly chain: string; readonly policy: string }
  | { readonly type: 'commit' }

/** Reads one line, without its line end. Fails with an IptablesParseError, which has `number` as its line. */
export function parseRestoreLine(text: string, number = 1): RestoreLine {
  const place = { line: number, text }
  const fail = (code: IptablesParseErrorCode, found?: string): never => {
    throw new IptablesParseError(code, { ...place, found })
  }
  if (text === '') return { type: 'blank' }
  if (/[\n\0]/.test(text)) return fail('UNKNOWN_LINE')
  if (text.startsWith('#')) return { type: 'comment', text: text.slice(1) }
  if (text.length > MAX_LINE) return fail('LINE_TOO_LONG')
  if (text.trim() === 'COMMIT') return { type: 'commit' }
  if (text.startsWith('*')) {
    const table = text.slice(1).trim()
    return isBareName(table) ? { type: 'table', table } : fail('BAD_NAME', table)
  }
  if (text.startsWith(':')) return parseChainLine(text, fail)
  const split = splitWords(text)
  if (split.type === 'unclosed-quote') return fail('UNCLOSED_QUOTE', text.slice(split.column - 1))
  if (split.words.length === 0) return { type: 'blank' }
  if (split.words.length > MAX_WORDS) return fail('LINE_TOO_LONG')
  return parseCommand(split.words, { place, fail })
}

// iptables-restore reads a line into 10240 bytes, and takes 255 arguments.
const MAX_LINE = 10_240
const MAX_WORDS = 255

interface LineContext {
  readonly place: { readonly line: number; readonly text: string }
  readonly fail: Fail
}

type Fail = (code: IptablesParseErrorCode, found?: string) => never

function parseChainLine(text: string, fail: Fail): RestoreLine {
  const [chain = '', policy, countersText, ...rest] = text
    .slice(1)
    .trim()
    .split(/[ \t]+/)
  if (!isChainName(chain)) return fail('BAD_NAME', chain)
  if (policy === undefined || rest.length > 0) return fail('UNKNOWN_LINE')
  if (!isBareName(policy) && policy !== '-') return fail('BAD_NAME', policy)
  const counters =
    countersText === undefined ? undefined : (countersOf(countersText) ?? fail('BAD_COUNTERS', countersText))
  return {
    type: 'chain',
    chain,
    ...(policy === '-' ? {} : { policy }),
    ...(counters === undefined ? {} : { counters }),
  }
}

function parseCommand(words: readonly Word[], { place, fail }: LineContext): RestoreLine {
  const [first] = words
  const hasCounters = first?.text.startsWith('[') === true
  const counters = hasCounters ? (countersOf(first.text) ?? fail('BAD_COUNTERS', first.text)) : undefined
  const counted = counters === undefined ? {} : { counters }
  const [commandWord, chainWord, ...rest] = hasCounters ? words.slice(1) : words
  const command = COMMANDS.get(commandWord?.text ?? '') ?? fail('UNKNOWN_LINE', commandWord?.text)
  if (chainWord === undefined) {
    return command === 'flush' || command === 'delete-chain'
      ? { type: command }
      : fail('MISSING_VALUE', commandWord?.text)
  }
  const chain = chainWord.text
  if (!isChainName(chain)) return fail('BAD_NAME', chain)
  const position = rest[0] === undefined || !/^\d+$/.test(rest[0].text) ? undefined : numberOf(rest[0].text, UINT32)
  switch (command) {
    case 'append':
      return { type: 'append', chain, rule: parseRule(rest, place), ...counted }
    case 'insert':
      if (position === 0) return fail('BAD_VALUE', '0')
      return {
        type: 'insert',
        chain,
        position: position ?? 1,
        rule: parseRule(position === undefined ? rest : rest.slice(1), place),
        ...counted,
      }
    case 'delete':
      if (position === 0 || (position !== undefined && rest.length > 1)) return fail('BAD_VALUE', rest[0]?.text)
      return position === undefined
        ? { type: 'delete', chain, rule: parseRule(rest, place) }
        : { type: 'delete-at', chain, position }
    case 'policy': {
      const [policy, ...more] = rest
      if (policy === undefined || more.length > 0) return fail('MISSING_VALUE', commandWord?.text)
      return isBareName(policy.text) ? { type: 'policy', chain, policy: policy.text } : fail('BAD_NAME', policy.text)
    }
    case 'new-chain':
    case 'flush':
    case 'delete-chain':
      return rest.length === 0 ? { type: command, chain } : fail('UNKNOWN_OPTION', rest[0]?.text)
    default:
      return assertNever(command)
  }
}

type Command = 'append' | 'insert' | 'delete' | 'new-chain' | 'flush' | 'delete-chain' | 'policy'

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['-A', 'append'],
  ['--append', 'append'],
  ['-I', 'insert'],
  ['--insert', 'insert'],
  ['-D', 'delete'],
  ['--delete', 'delete'],
  ['-N', 'new-chain'],
  ['--new-chain', 'new-chain'],
  ['-F', 'flush'],
  ['--flush', 'flush'],
  ['-X', 'delete-chain'],
  ['--delete-chain', 'delete-chain'],
  ['-P', 'policy'],
  ['--policy', 'policy'],
])

function countersOf(text: string): Counters | undefined {
  const found = /^\[(\d{1,20}):(\d{1,20})\]$/.exec(text)
  return found === null ? undefined : { packets: String(BigInt(found[1] ?? '')), bytes: String(BigInt(found[2] ?? '')) }
}

// XT_EXTENSION_MAXNAMELEN is 29 with the ending NUL.
export const isChainName = (name: string): boolean => isBareName(name) && Buffer.byteLength(name) < 29

/** The line's text, without a line end. Fails with an IptablesFormatError when no line says this. */
export function formatRestoreLine(line: RestoreLine): string {
  switch (line.type) {
    case 'blank':
      return ''
    case 'comment':
      if (/[\r\n\0]/.test(line.text)) throw new IptablesFormatError(`the comment ${line.text}`)
      return `#${line.text}`
    case 'table':
      return `*${bareName(line.table)}`
    case 'chain': {
      const counters = checkedCounters(line.counters)
      const policy = line.policy === undefined ? '-' : bareName(line.policy)
      return `:${chainName(line.chain)} ${policy}${counters === undefined ? '' : ` ${spellCounters(counters)}`}`
    }
    case 'append':
      return `${countersPrefix(line.counters)}-A ${chainName(line.chain)}${spaced(formatRule(line.rule))}`
    case 'insert':
      return `${countersPrefix(line.counters)}-I ${chainName(line.chain)}${line.position === 1 ? '' : ` ${line.position}`}${spaced(formatRule(line.rule))}`
    case 'delete':
      return `-D ${chainName(line.chain)}${spaced(formatRule(line.rule))}`
    case 'delete-at':
      return `-D ${chainName(line.chain)} ${line.position}`
    case 'new-chain':
      return `-N ${chainName(line.chain)}`
    case 'flush':
      return `-F${line.chain === undefined ? '' : ` ${chainName(line.chain)}`}`
    case 'delete-chain':
      return `-X${line.chain === undefined ? '' : ` ${chainName(line.chain)}`}`
    case 'policy':
      return `-P ${chainName(line.chain)} ${bareName(line.policy)}`
    case 'commit':
      return 'COMMIT'
    default:
      return assertNever(line)
  }
}

const spaced = (text: string): string => (text === '' ? '' : ` ${text}`)

function chainName(name: string): string {
  if (!isChainName(name)) throw new IptablesFormatError(`the chain ${name}`)
  return name
}

function bareName(name: string): string {
  if (!isBareName(name)) throw new IptablesFormatError(`the name ${name}`)
  return name
}

function checkedCounters(counters: Counters | undefined): Counters | undefined {
  if (counters === undefined || (/^\d+$/.test(counters.packets) && /^\d+$/.test(counters.bytes))) return counters
  throw new IptablesFormatError(`the counters ${counters.packets}:${counters.bytes}`)
}

const countersPrefix = (given: Counters | undefined): string => {
  const counters = checkedCounters(given)
  return counters === undefined ? '' : `${spellCounters(counters)} `
}

const spellCounters = ({ packets, bytes }: Counters): string => `[${packets}:${bytes}]`
