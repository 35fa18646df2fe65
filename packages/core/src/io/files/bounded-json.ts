/** A value takes up to 64 bytes of memory. A cluster at the limits of Kubernetes has some five million, managedFields included. */
const MOST_VALUES = 8_000_000

/**
 * The value of a JSON text. Throws a SyntaxError for what is no JSON, and TooManyValues for more than memory should be asked for: text of
 * three bytes a value takes twenty times its length.
 */
export function parseBoundedJson(text: string): unknown {
  // Each value but the first has a character of its own and one before it.
  if (text.length > 2 * MOST_VALUES && valuesIn(text) > MOST_VALUES)
    throw new TooManyValues(`it holds more than ${MOST_VALUES} values`)
  return JSON.parse(text)
}

export class TooManyValues extends Error {}

/** Each value but the first comes after one of `[`, `{` and `,`; empty lists and objects are counted twice. */
function valuesIn(text: string): number {
  let values = 1
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === QUOTE) at = endOfString(text, at)
    else if (character === COMMA || character === OPENING_BRACKET || character === OPENING_BRACE) values += 1
  }
  return values
}

/** Where the quote is that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1
    while (text.charCodeAt(before) === BACKSLASH) before -= 1
    if ((end - before) % 2 === 1) return end
  }
  return text.length
}

const QUOTE = 34
const COMMA = 44
const OPENING_BRACKET = 91
const BACKSLASH = 92
const OPENING_BRACE = 123
