import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { JSON_SCHEMAS, renderDocumentSchema, schemaProblems } from './support/json-schemas.js'

const document = readFileSync(new URL('../docs/json.md', import.meta.url), 'utf8')

test.each(Object.entries(JSON_SCHEMAS))('docs/json.md shows %s as it is', (kind, schema) => {
  expect(document).toContain(renderDocumentSchema(kind, schema))
})

test('docs/json.md shows no document that there is not', () => {
  const kinds = [...document.matchAll(/^## (\w+)\n\n\| field/gm)]
    .map((match) => match[1])
    .filter((kind) => kind !== 'Recordings')
  expect(kinds).toEqual(Object.keys(JSON_SCHEMAS))
})

test('a wrong, a missing and an unknown field are named', () => {
  const problems = schemaProblems(
    { apiVersion: 'pointsman/v1', kind: 'ReplaySummary', at: { seq: 1, time: '2026-01-01' }, events: 'many', more: 1 },
    JSON_SCHEMAS.ReplaySummary,
  )
  expect(problems).toEqual(
    expect.arrayContaining([
      '/more: schema is false',
      expect.stringContaining('/at/time: must match pattern'),
      '/: must have required properties log, backend, syncs, failures, servicePorts, spanMs',
      '/events: must be integer',
    ]),
  )
})
