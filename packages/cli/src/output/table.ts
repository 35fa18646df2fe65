import { textWidth } from './line-sink.js'

export interface Column<Row> {
  readonly title: string
  /** Text, styled or not: a line, whatever is in it. */
  readonly cell: (row: Row) => string
  readonly align?: 'left' | 'right'
}

export interface TableOptions {
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
