/**
 * Text as a terminal can print it on one line: control characters (C0, DEL, C1), characters without a shape of their own
 * (bidi controls, zero widths, BOM, tags), line separators and lone surrogates become `\n`, `\r`, `\t` or `\uXXXX`, a UTF-16 unit
 * each. Everything else stays as it is, a backslash too, so that a line of JSON is the same JSON afterwards.
 */
export const escapeControls = (text: string): string => (HIDDEN.test(text) ? text.replace(EACH_HIDDEN, escaped) : text)

/** One line of text from outside for a message: controls are blanks, and what is longer than `most` characters is cut. */
export function printable(text: string, most = 300): string {
  const clean = escapeControls(text.slice(0, most).replaceAll(/\p{Cc}+/gu, ' '))
  return text.length > most ? `${clean}...` : clean
}

/** A name or label from outside for a message. */
export const printableName = (text: string): string => printable(text, 100)

/** Text from outside between quotes: control characters, quotes and what is not ASCII escaped, and what is longer cut. */
export function visible(text: string, most = 100): string {
  const short = text.length > most ? `${text.slice(0, most)}...` : text
  return escapeControls(JSON.stringify(short).slice(1, -1)).replaceAll(/[^ -~]/g, unit)
}

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const EACH_HIDDEN = new RegExp(HIDDEN, 'gu')

const SHORT: { readonly [character: string]: string } = {
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
}

const escaped = (character: string): string =>
  SHORT[character] ??
  character
    .split('')
    .map((half) => unit(half))
    .join('')

const unit = (half: string): string => `\\u${half.charCodeAt(0).toString(16).padStart(4, '0')}`
