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
