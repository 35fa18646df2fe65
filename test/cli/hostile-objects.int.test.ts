import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, describe, expect, test } from 'vitest'
import { deepenLog } from '../../packages/core/src/io/sqlite/test-support/deepen-log.js'
import { runPointsman, runPointsmanProcess } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'

/** fixtures/security/01-deep-managed-fields and the objects of 10-deep-and-cyclic-input, with relatives of both. */
const fixture = (path: string): string => fileURLToPath(new URL(`../../fixtures/security/${path}`, import.meta.url))
const folder = temporaryFolder()
afterAll(folder.remove)
const file = (name: string, text: string): string => {
  writeFileSync(folder.path(name), text)
  return folder.path(name)
}

const nested = (levels: number): string => `${'{"f:a":'.repeat(levels)}{}${'}'.repeat(levels)}`
const DEEP = nested(9000)
const SPEC = '{"clusterIP":"10.96.0.9","ports":[{"port":80}]}'
const managed = (name: string): string =>
  `{"kind":"Service","apiVersion":"v1","metadata":{"name":"${name}","namespace":"shop","uid":"u-${name}","resourceVersion":"5",` +
  `"managedFields":[{"manager":"m","operation":"Update","time":"2026-11-21T02:00:00Z","fieldsType":"FieldsV1","fieldsV1":${DEEP}}]},"spec":${SPEC}}`
const meta = (name: string, more = ''): string =>
  `"metadata":{"name":"${name}","namespace":"shop","resourceVersion":"6"${more}}`
const good = `{"kind":"Service","apiVersion":"v1",${meta('good')},"spec":{"clusterIP":"10.96.0.8","ports":[{"port":81}]}}`
const RELATIVES: readonly (readonly [string, string])[] = [
  [
    'a spec',
    `{"kind":"Service","apiVersion":"v1",${meta('x')},"spec":{"x":${DEEP},"clusterIP":"10.96.0.7","ports":[{"port":80}]}}`,
  ],
  ['a status', `{"kind":"Service","apiVersion":"v1",${meta('x')},"spec":${SPEC},"status":${DEEP}}`],
  ['annotations', `{"kind":"Service","apiVersion":"v1",${meta('x', `,"annotations":{"a":${DEEP}}`)},"spec":${SPEC}}`],
  ['the addresses of a Node', `{"kind":"Node","apiVersion":"v1",${meta('x')},"status":{"addresses":[${DEEP}]}}`],
  [
    'an endpoint',
    `{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1",${meta('x')},"addressType":"IPv4","endpoints":[{"conditions":${DEEP}}]}`,
  ],
]
const event = (object: string, { type = 'ADDED', at = 0 } = {}): string =>
  `{"observedAt":"2026-11-21T02:00:0${at}Z","type":"${type}","object":${object}}\n`

const oneLine = (stderr: string): void => {
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(stderr).toMatch(/^error: /)
  expect(stderr.length).toBeLessThan(600)
}

describe('a Service whose fieldsV1 is deep', () => {
  test('is served from a file as kube-proxy serves it', async () => {
    const { status, stdout } = await runPointsmanProcess([
      'services',
      '--objects',
      fixture('01-deep-managed-fields/objects.json'),
    ])
    expect({ status, served: /shop\/a +ClusterIP +TCP +10\.96\.0\.5:80/.test(stdout) }).toEqual({
      status: 0,
      served: true,
    })
  })

  test('is imported, served, replayed, compared and exported', async () => {
    const log = folder.path('fields.db')
    const imported = await runPointsmanProcess([
      'import',
      fixture('01-deep-managed-fields/recording.jsonl'),
      '--log',
      log,
    ])
    expect(imported).toMatchObject({ status: 0, stderr: '' })
    expect(imported.stdout).toContain('imported 2 events')
    for (const args of [
      ['services'],
      ['log', 'shop/a'],
      ['export'],
      ['export', '--redact'],
      ['replay', '--record', folder.path('fields-replayed.db')],
    ])
      expect({ args, ...(await runPointsmanProcess([...args, '--log', log])) }).toMatchObject({ args, status: 0 })
  })
})

describe('an object that is too deep in what is kept', () => {
  test.each(RELATIVES)('in %s becomes a notice of an import, which uses the rest', async (what, object) => {
    const log = folder.path(`${what.replaceAll(' ', '-')}.db`)
    const recording = file(
      'relatives.jsonl',
      event(managed('m')) + event(object) + event(object, { type: 'DELETED', at: 1 }) + event(good, { at: 2 }),
    )
    const { status, stderr } = await runPointsman(['import', recording, '--log', log])
    expect(status).toBe(2)
    expect(stderr).toMatch(/OBJECT_UNREADABLE: \w+ shop\/x is not used: it nests deeper than 100 levels/)
    const services = await runPointsman(['services', '--log', log])
    expect(services.stdout).toMatch(/shop\/good .*81/)
    expect(services.stdout).toMatch(/shop\/m .*10\.96\.0\.9:80/)
  })

  test.each(RELATIVES)('in %s is passed over in a file of objects, with a warning', async (_what, object) => {
    const objects = file('relatives.json', `{"kind":"List","items":[${object},${good}]}`)
    const { status, stdout, stderr } = await runPointsman(['services', '--objects', objects])
    expect(status).toBe(0)
    expect(stderr).toMatch(/shop\/x is not used: it nests deeper than 100 levels/)
    expect(stdout).toMatch(/shop\/good/)
  })

  test('in a log that holds it already is no obstacle to any command', async () => {
    const log = folder.path('old.db')
    await runPointsman(['import', file('old.jsonl', event(good) + event(managed('m'), { at: 1 })), '--log', log])
    // As an earlier version could write it, and deeper.
    expect(deepenLog(log, 20_000)).toBe(2)
    for (const args of [
      ['services'],
      ['services', '-o', 'json'],
      ['log', 'shop/good'],
      ['export'],
      ['export', '--redact'],
      ['diff', '1', '2'],
      ['replay', '--record', folder.path('old-replayed.db')],
    ]) {
      const { status, stderr } = await runPointsman([...args, '--log', log])
      expect(stderr).not.toMatch(/bug|RangeError|Maximum call stack/)
      expect(status).toBeLessThan(3)
    }
    const services = await runPointsman(['services', '--log', log])
    expect(services.stdout).toMatch(/shop\/good .*10\.96\.0\.8:81/)
    const again = await runPointsman(['import', file('more.jsonl', event(managed('other'), { at: 3 })), '--log', log])
    expect(again).toMatchObject({ status: 0 })
    const reader = openChangeLog(log)
    expect([...reader.records()]).toHaveLength(3)
    reader.close()
  })
})

describe('a file of objects', () => {
  const cases: readonly (readonly [string, () => string, RegExp])[] = [
    ['an alias of what it stands in', () => fixture('10-deep-and-cyclic-input/cyc.yaml'), /\*m is recursive/],
    ['lists in lists', () => fixture('10-deep-and-cyclic-input/deep.yaml'), /nest deeper than/],
    [
      'an object of ten thousand levels',
      () => fixture('10-deep-and-cyclic-input/deep10000.json'),
      /shop\/a is not used: it nests/,
    ],
    [
      'Lists in Lists',
      () => file('lists.json', `${'{"kind":"List","items":['.repeat(9000)}${']}'.repeat(9000)}`),
      /lists nest/,
    ],
    ['YAML in a line', () => file('line.yaml', `${'- '.repeat(50_000)}x`), /nests deeper than 200 levels/],
    ['keys of keys', () => file('keys.yaml', `${'? '.repeat(50_000)}x`), /nests deeper than 200 levels/],
    ['mappings that do not end', () => file('open.yaml', '{a: '.repeat(50_000)), /nests deeper than 200 levels/],
    ['JSON that does not end', () => file('open.json', '{"a":['.repeat(50_000)), /nests deeper than 200 levels/],
    [
      'aliases that multiply',
      () => {
        const levels = Array.from(
          { length: 20 },
          (_, n) => `a${n + 1}: &a${n + 1} [${Array(9).fill(`*a${n}`).join()}]\n`,
        )
        return file('bomb.yaml', `a0: &a0 [x, x]\n${levels.join('')}`)
      },
      /alias/i,
    ],
    [
      'thousands of aliases',
      () => file('aliases.yaml', `- &a x\n${'- *a\n'.repeat(60_000)}`),
      /more than 1000 aliases/,
    ],
    [
      'a key that is there twice',
      () => file('twice.yaml', 'kind: Service\nkind: Node\n'),
      /unique at line 2, column 1/,
    ],
  ]
  test.each(cases)('with %s is refused in one line', async (_what, path, message) => {
    const { status, stdout, stderr } = await runPointsman(['services', '--objects', path()])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
    oneLine(stderr)
  })

  test.each(cases)('with %s is refused as a configuration too', async (_what, path) => {
    const { status, stderr } = await runPointsman(['rules', '--objects', file('good.json', good), '--config', path()])
    expect(status).toBe(2)
    oneLine(stderr)
  })

  test('with a mapping of 60,000 keys is read: no key is compared with each', async () => {
    const keys = Array.from({ length: 60_000 }, (_, n) => `  k${n}: v\n`).join('')
    const objects = file(
      'broad.yaml',
      `kind: Service\nmetadata:\n  name: a\n  labels:\n${keys.replaceAll('  k', '    k')}spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}\n`,
    )
    const { status, stdout } = await runPointsman(['services', '--objects', objects])
    expect({ status, served: /default\/a .*10\.0\.0\.1:80/.test(stdout) }).toEqual({ status: 0, served: true })
  })

  test('with dates, sets and binary data of YAML 1.1 serves the rest', async () => {
    const odd =
      '%YAML 1.1\n---\nkind: Service\nmetadata: {name: odd, annotations: {a: 2001-01-01, b: !!set {x}, c: !!binary aGk=}}\nspec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}\n'
    const { status, stderr, stdout } = await runPointsman([
      'services',
      '--objects',
      file('odd.yaml', `${odd}---\n${good}\n`),
    ])
    expect(status).toBe(0)
    expect(stderr).toMatch(/default\/odd is not used: it holds what JSON has no form for/)
    expect(stdout).toMatch(/good/)
  })
})

test('a Service of 60,000 ports and a slice of 60,000 endpoints are more than any call takes arguments, and no obstacle', async () => {
  const ports = Array.from({ length: 60_000 }, (_, n) => `{"name":"p${n}","port":${n + 1}}`).join()
  const endpoints = Array.from(
    { length: 60_000 },
    (_, n) => `{"addresses":["10.${n >> 16}.${(n >> 8) & 255}.${n & 255}"]}`,
  ).join()
  const items = [
    `{"kind":"Service",${meta('ports')},"spec":{"clusterIP":"10.96.0.9","ports":[${ports}]}}`,
    `{"kind":"Service",${meta('many')},"spec":{"clusterIP":"10.96.0.7","ports":[{"name":"h","port":80}]}}`,
    `{"kind":"EndpointSlice",${meta('many-1', ',"labels":{"kubernetes.io/service-name":"many"}')},"addressType":"IPv4","ports":[{"name":"h","port":8080}],"endpoints":[${endpoints}]}`,
  ]
  const objects = file('many.json', `{"kind":"List","items":[${items.join()}]}`)
  for (const args of [['services'], ['render']]) {
    const { status, stderr } = await runPointsman([...args, '--objects', objects])
    expect(stderr).not.toMatch(/bug|RangeError/)
    expect(status).toBe(0)
  }
}, 120_000)
