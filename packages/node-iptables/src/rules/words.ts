/** Why a line has no words: a quotation that does not end. The column counts from 1, in UTF-16 units. */
export interface UnclosedQuote {
  readonly type: 'unclosed-quote'
  readonly column: number
}

/**
 * The words of a line as iptables-restore reads them: parted by spaces and tabs; inside double quotes these are
 * ordinary, and a backslash takes the next character as it is. Outside of quotes a backslash is ordinary. An empty
 * quotation is no word.
 */
export function splitWords(
  line: string,
): { readonly type: 'words'; readonly words: readonly string[] } | UnclosedQuote {
  const words: string[] = []
  let word = ''
  let quoteAt: number | undefined
  for (let index = 0; index < line.length; index++) {
    const character = line.charAt(index)
    if (character === '"') quoteAt = quoteAt === undefined ? index : undefined
    else if (quoteAt !== undefined && character === '\\') word += line.charAt(++index)
    else if (quoteAt !== undefined || !/[ \t\n]/.test(character)) word += character
    else if (word !== '') {
      words.push(word)
      word = ''
    }
  }
  if (quoteAt !== undefined) return { type: 'unclosed-quote', column: quoteAt + 1 }
  return { type: 'words', words: word === '' ? words : [...words, word] }
}

/**
 * A string such as a comment in iptables-save's spelling: bare when it is letters, digits, `_` and `-` alone, else in
 * double quotes with both kinds of quotes and backslashes escaped. Undefined for what no line of a restore can say:
 * nothing at all, line ends, NUL.
 */
export function quoteWord(text: string): string | undefined {
  if (text === '' || UNSAYABLE.some((character) => text.includes(character))) return undefined
  if (/^[\w-]+$/.test(text)) return text
  return `"${text.replaceAll(/["'\\]/g, String.raw`\$&`)}"`
}

const UNSAYABLE = ['\n', '\r', '\0']
