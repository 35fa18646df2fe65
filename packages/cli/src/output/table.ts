import { textWidth } from './terminal.js'

export interface Column<Row> {
  readonly title: string
  /** Text, styled or not: a line, whatever is in it. */
  readonly cell: (row: Row) => string
  readonly align?: 'left' | 'right'
}

interface TableOptions {
  /** Styles the line of titles. */
  readonly title?: (text: string) => string
  /** Put before each line. */
  readonly indent?: string
}

/**
 * Lines of a table as kubectl prints one: titles, then a row a line, columns two spaces apart and as wide as their widest
 * cell, nothing behind the last; without rows only the titles.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: TableOptions = {},
): readonly string[] {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)))
  const widths = columns.map(({ title }, index) =>
    cells.reduce((width, row) => Math.max(width, textWidth(row[index] ?? '')), textWidth(title)),
  )
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => pad({ text, width: widths[index] ?? 0, align: columns[index]?.align ?? 'left' }))
      .join('  ')
      .trimEnd()
  const indent = options.indent ?? ''
  const title = options.title ?? ((text) => text)
  return [title(line(columns.map((column) => column.title))), ...cells.map(line)].map((text) => `${indent}${text}`)
}

function pad({
  text,
  width,
  align,
}: {
  readonly text: string
  readonly width: number
  readonly align: 'left' | 'right'
}): string {
  const space = ' '.repeat(Math.max(0, width - textWidth(text)))
  return align === 'left' ? text + space : space + text
}

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
