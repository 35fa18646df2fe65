import type { PortRange } from './rule.js'

/** A whole number as strtoul(3) with base 0 reads it (decimal, `0x` hexadecimal, `0` octal), up to `max`. */
export function numberOf(text: string, max: number): number | undefined {
  if (!/^(?:0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(text)) return undefined
  const number = /^0[0-7]/.test(text) ? Number.parseInt(text, 8) : Number(text)
  return number <= max ? number : undefined
}

export const UINT32 = 0xff_ff_ff_ff

/** `VALUE` or `VALUE/MASK`. */
export function markOf(text: string): { readonly value: number; readonly mask: number | undefined } | undefined {
  const [valueText = '', maskText, ...rest] = text.split('/')
  const value = numberOf(valueText, UINT32)
  const mask = maskText === undefined ? undefined : numberOf(maskText, UINT32)
  if (value === undefined || rest.length > 0 || (maskText !== undefined && mask === undefined)) return undefined
  return { value, mask }
}

export const hex = (number: number): string => `0x${number.toString(16)}`

const MAX_PORT = 65_535

/** `80`, `80:90`, `:90`, `80:`, with the given separator. */
export function portRangeOf(text: string, separator = ':'): PortRange | undefined {
  const [firstText = '', lastText, ...rest] = text.split(separator)
  if (rest.length > 0 || text === '') return undefined
  const first = firstText === '' ? 0 : numberOf(firstText, MAX_PORT)
  const last = lastText === undefined ? first : lastText === '' ? MAX_PORT : numberOf(lastText, MAX_PORT)
  if (first === undefined || last === undefined || first > last) return undefined
  return { first, last }
}

export const isAnyPort = ({ first, last }: PortRange): boolean => first === 0 && last === MAX_PORT

export const spellPorts = ({ first, last }: PortRange, separator = ':'): string =>
  first === last ? String(first) : `${first}${separator}${last}`

/** The names of a list in the order of `known`. Undefined: one is not known, or none is there. */
export function listOf<T extends string>(text: string, known: readonly T[]): readonly T[] | undefined {
  const names = text.toUpperCase().split(',')
  if (!names.every((name) => known.some((one) => one === name))) return undefined
  return known.filter((one) => names.includes(one))
}

/** A name that stands bare on a line: no white space, quotes or control characters, and not to be taken for an option. */
export const isBareName = (text: string): boolean => /^[^-!"\s\p{Cc}][^"\s\p{Cc}]*$/u.test(text)

// IFNAMSIZ is 16 with the ending NUL.
export const isInterfaceName = (text: string): boolean => isBareName(text) && Buffer.byteLength(text) < 16

/**
 * A protocol as iptables-save names it; `all` for any. Undefined: neither a number nor a name. Names that iptables does not
 * know by itself it looks up on the machine: they stay as they are.
 */
export function protocolOf(text: string): string | undefined {
  const lower = text.toLowerCase()
  const number = /^\d{1,3}$/.test(lower) ? Number(lower) : NUMBERS.get(lower)
  if (number === undefined) return /^[a-z][a-z\d-]*$/.test(lower) ? lower : undefined
  return number > 255 ? undefined : (NAMES.get(number) ?? String(number))
}

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['all', 0],
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['esp', 50],
  ['ah', 51],
  ['icmpv6', 58],
  ['ipv6-icmp', 58],
  ['sctp', 132],
  ['mh', 135],
  ['ipv6-mh', 135],
  ['mobility-header', 135],
  ['udplite', 136],
])

const NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'all'],
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
  [135, 'mobility-header'],
  [136, 'udplite'],
])

/** Why a line has no words: a quotation that does not end. The column counts from 1, in UTF-16 units. */
interface UnclosedQuote {
  readonly type: 'unclosed-quote'
  readonly column: number
}

/** One word of a line: what it says, and how it is spelt there, quotes and escapes included. */
export interface Word {
  readonly text: string
  readonly spelling: string
}

/**
 * The words of a line as iptables-restore reads them: parted by spaces and tabs. A double quote may begin anywhere in a
 * word; inside of it these are ordinary, a backslash takes the next character as it is, and the closing quote ends the
 * word. Outside of quotes a backslash is ordinary. An empty quotation is an empty word.
 */
export function splitWords(line: string): { readonly type: 'words'; readonly words: readonly Word[] } | UnclosedQuote {
  // Most lines have no quotes, and their words are split at once.
  if (!/["\t\n]/.test(line)) return { type: 'words', words: wordsBetweenSpaces(line) }
  const words: Word[] = []
  let text = ''
  let begin: number | undefined
  let quoteAt: number | undefined
  const end = (index: number): void => {
    if (begin !== undefined) words.push({ text, spelling: line.slice(begin, index) })
    text = ''
    begin = undefined
  }
  for (let index = 0; index < line.length; index++) {
    const character = line.charAt(index)
    if (quoteAt !== undefined) {
      if (character === '\\') text += line.charAt(++index)
      else if (character !== '"') text += character
      else {
        quoteAt = undefined
        end(index + 1)
      }
    } else if (character === ' ' || character === '\t' || character === '\n') end(index)
    else {
      begin ??= index
      if (character === '"') quoteAt = index
      else text += character
    }
  }
  if (quoteAt !== undefined) return { type: 'unclosed-quote', column: quoteAt + 1 }
  end(line.length)
  return { type: 'words', words }
}

function wordsBetweenSpaces(line: string): readonly Word[] {
  const words: Word[] = []
  for (const text of line.split(' ')) if (text !== '') words.push({ text, spelling: text })
  return words
}

/**
 * A string such as a comment in iptables-save's spelling: bare when it is letters, digits, `_` and `-` alone, else in
 * double quotes with both kinds of quotes and backslashes escaped. Undefined for what no line of a restore can say:
 * line ends and NUL.
 */
export function quoteWord(text: string): string | undefined {
  if (/^[\w-]+$/.test(text)) return text
  if (UNSAYABLE.some((character) => text.includes(character))) return undefined
  return `"${text.replaceAll(/["'\\]/g, String.raw`\$&`)}"`
}

const UNSAYABLE = ['\n', '\r', '\0']
