/** Why a line has no words: a quotation that does not end. The column counts from 1, in UTF-16 units. */
export interface UnclosedQuote {
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
  // Most lines have no quotes, and their words are told apart at once.
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
