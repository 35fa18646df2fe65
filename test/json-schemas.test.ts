import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ruleItem, type RuleJson } from '../packages/cli/src/commands/rules/schema.js'
import { takenOver } from '../packages/cli/src/output/json.js'
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

test('a field that the schema does not have does not compile, written or taken over', () => {
  const rule = { table: 'nat', chain: 'KUBE-SERVICES', rule: '-A KUBE-SERVICES' }
  const known: RuleJson = { ...rule, portName: undefined }
  // @ts-expect-error: it is called portName
  const written: RuleJson = { ...rule, portLabel: 'http' }
  // @ts-expect-error: it is called portName
  const taken: RuleJson = takenOver<RuleJson>()({ ...rule, portLabel: 'http' })
  // @ts-expect-error: it is not optional
  const missing: RuleJson = { table: 'nat', rule: '-A KUBE-SERVICES' }
  // What compiles or not is what is tested; schemas find the same in real output.
  expect(schemaProblems(JSON.parse(JSON.stringify(known)), ruleItem)).toEqual([])
  for (const wrong of [written, taken, missing]) expect(schemaProblems(wrong, ruleItem)).not.toEqual([])
})
