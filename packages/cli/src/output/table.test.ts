import { expect, test } from 'vitest'
import { printedLine, styleFor } from './terminal.js'
import { renderTable } from './table.js'

test('columns are as wide as their widest cell, colours aside, and nothing trails', () => {
  const { red } = styleFor({ env: { FORCE_COLOR: '1' }, isTTY: false })
  const table = renderTable(
    [
      { title: 'NAME', cell: ([name]: readonly string[]) => name ?? '' },
      { title: 'N', cell: ([, count]: readonly string[]) => count ?? '', align: 'right' },
      { title: 'LAST', cell: ([, , last]: readonly string[]) => last ?? '' },
    ],
    [
      ['checkout', '3', red('none')],
      ['a', '12', ''],
    ],
  )
  expect(table.map(printedLine)).toEqual([
    'NAME       N  LAST',
    'checkout   3  \u001B[31mnone\u001B[39m',
    'a         12',
  ])
})

test.each([
  [{ env: {}, isTTY: true }, true],
  [{ env: {}, isTTY: false }, false],
  [{ env: { NO_COLOR: '1' }, isTTY: true }, false],
  [{ env: { NO_COLOR: '' }, isTTY: true }, true],
  [{ env: { TERM: 'dumb' }, isTTY: true }, false],
  [{ env: { FORCE_COLOR: '1' }, isTTY: false }, true],
  [{ env: { FORCE_COLOR: '' }, isTTY: false }, true],
  [{ env: { FORCE_COLOR: '0' }, isTTY: true }, false],
  [{ env: { FORCE_COLOR: '1', NO_COLOR: '1' }, isTTY: true }, false],
])('%j has colour: %s', (question, enabled) => {
  expect(styleFor(question).enabled).toBe(enabled)
})
