/** Characters of one phrase or line that are shown of a record: names, messages and values can have any length. */
const MAX_CHARACTERS = 2000
/** Lines that are shown of one record. */
const MAX_LINES = 2000

/** A text as far as it is shown; a note says how long it is. */
export function cutText(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text
  return `${text.slice(0, MAX_CHARACTERS)}… (cut: ${text.length} characters; -o json has all)`
}

/** Lines as far as they are shown, each cut; a note says how many there are. */
export function cutLines(lines: readonly string[]): readonly string[] {
  const shown = lines.slice(0, MAX_LINES).map(cutText)
  return lines.length <= MAX_LINES ? shown : [...shown, `… (cut: ${lines.length} lines; -o json has all)`]
}
