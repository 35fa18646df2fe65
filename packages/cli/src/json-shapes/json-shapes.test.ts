import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { JSON_SHAPES } from './json-shapes.js'
import { renderDocumentShape } from './render-shape.js'
import { shapeProblems } from './shape.js'

const document = readFileSync(new URL('../../../../docs/json.md', import.meta.url), 'utf8')

test.each(Object.entries(JSON_SHAPES))('docs/json.md shows %s as it is', (kind, shape) => {
  expect(document).toContain(renderDocumentShape(kind, shape))
})

test('docs/json.md shows no document that there is not', () => {
  const kinds = [...document.matchAll(/^## (\w+)\n\n\| field/gm)]
    .map((match) => match[1])
    .filter((kind) => kind !== 'Recordings')
  expect(kinds).toEqual(Object.keys(JSON_SHAPES))
})

test('a wrong, a missing and an unknown field are named', () => {
  const shape = JSON_SHAPES['ReplaySummary'] ?? { type: 'any' }
  const problems = shapeProblems(
    { apiVersion: 'pointsman/v1', kind: 'ReplaySummary', at: { seq: 1, time: '2026-01-01' }, events: 'many', more: 1 },
    shape,
  )
  expect(problems).toEqual(
    expect.arrayContaining([
      '$.more: not in the shape',
      '$.at.time: no time',
      '$.log: no string',
      '$.events: no integer',
    ]),
  )
})
