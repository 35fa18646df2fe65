import type { Style } from '../output/colour.js'
import { renderTable } from '../output/table.js'
import { summaryText, type Summarised } from './trace-summary.js'
import { wayRows, type RowOptions, type WayRow } from './way-rows.js'

/** The conclusion first, then the way as an indented table. */
export function traceText(
  summarised: Summarised,
  { style, wide }: RowOptions & { readonly style: Style },
): readonly string[] {
  const rows = wayRows(summarised.trace.ways, { wide })
  const styled = (of: (row: WayRow) => string) => (row: WayRow) => {
    const text = of(row)
    return text === '' ? '' : STYLES[row.kind](style)(text)
  }
  const columns = [
    { title: 'ODDS', align: 'right' as const, cell: ({ odds }: WayRow) => style.cyan(odds) },
    { title: 'RULE', cell: (row: WayRow) => '  '.repeat(row.depth) + styled(({ place }) => place)(row) },
    { title: 'ASKS FOR', cell: styled(({ asks }) => asks) },
    { title: 'THEN', cell: styled(({ outcome }) => outcome) },
    { title: 'COMMENT', cell: ({ comment }: WayRow) => style.dim(comment) },
  ]
  const parted = rows.some(({ odds }) => odds !== '')
  const table = renderTable<WayRow>(parted ? columns : columns.slice(1), rows, { title: style.dim })
  return [...summaryText(summarised, style), '', ...table]
}

const STYLES: { readonly [kind in WayRow['kind']]: (style: Style) => (text: string) => string } = {
  hook: (style) => style.bold,
  policy: () => (text) => text,
  rule: () => (text) => text,
  missed: (style) => style.dim,
  note: (style) => style.cyan,
}
