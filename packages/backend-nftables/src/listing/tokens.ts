/** A word, a mark of punctuation, a string with its quotes, or the end of a line. */
export type Token = string

export const END_OF_LINE = '\n'

/**
 * The words of a listing. `# handle 4` and `# xt_conntrack` at the end of a line are told as `#handle 4` and `#xt conntrack`; other
 * comments are left out.
 */
export function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (let found = TOKEN.exec(text); found !== null; found = TOKEN.exec(text)) {
    const [all, newline, quoted, comment, handle, xt, word] = found
    if (newline !== undefined) {
      if (tokens.at(-1) !== END_OF_LINE) tokens.push(END_OF_LINE)
    } else if (handle !== undefined) tokens.push('#handle', handle)
    else if (xt !== undefined) tokens.push('#xt', xt)
    else if (comment === undefined) tokens.push(quoted ?? word ?? all)
  }
  return tokens
}

/** Blanks are left out; a quote has no escapes, as nft takes none. */
const TOKEN = /(\r?\n)|("[^"]*"\*?)|(#(?:[ \t]*handle[ \t]+(\d+)|[ \t]*xt_(\w+)|[^\n]*))|([{}(),;]|[^\s{}(),;"#]+)/g

export const isQuoted = (token: Token): boolean => token.startsWith('"')

/** Without its quotes. */
export const unquoted = (token: Token): string => (isQuoted(token) ? token.slice(1, token.lastIndexOf('"')) : token)

/** `1h30m`, `29m59s820ms`, `180`: whole seconds. Undefined: no time. */
export function secondsOf(token: Token): number | undefined {
  if (/^\d+$/.test(token)) return Number(token)
  const parts = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:\d+ms)?$/.exec(token)
  if (parts === null || token === '') return undefined
  const [days, hours, minutes, seconds] = [1, 2, 3, 4].map((at) => Number(parts[at] ?? 0))
  return (((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)
}
