import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfigDocument } from './config-file.js'
import { readObjects } from './read-objects.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointsman-objects-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function namesIn(...texts: readonly string[]): Promise<readonly string[]> {
  const paths = texts.map((text, index) => write(`${index}.yaml`, text))
  const { objects, passedOver, problems } = await readObjects(paths, Readable.from([]))
  return [
    ...objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`),
    ...[...passedOver].map(([kind, count]) => `passed over ${count} ${kind}`),
    ...problems.map((problem) => problem.replace(`${folder}/`, '')),
  ]
}

test('reads single objects, Lists and several documents, YAML or JSON', async () => {
  const yaml =
    '---\nkind: Service\napiVersion: v1\nmetadata: {name: web, namespace: shop}\n---\n---\nkind: Deployment\nmetadata: {name: web}\n'
  const list = JSON.stringify({
    kind: 'List',
    items: [
      { kind: 'Node', metadata: { name: 'node-a' } },
      { kind: 'Service', metadata: {} },
    ],
  })
  const typed = JSON.stringify({ kind: 'EndpointSliceList', items: [{ metadata: { name: 'web-1' } }] })
  expect(await namesIn(yaml, list, typed)).toEqual([
    'Service shop/web',
    'Node /node-a',
    'EndpointSlice default/web-1',
    'passed over 1 Deployment',
    '1.yaml: a Service has no metadata.name: ignored',
  ])
})

test('reads standard input', async () => {
  const { objects } = await readObjects(['-'], Readable.from(['{"kind":"Node",', '"metadata":{"name":"n"}}']))
  expect(objects).toHaveLength(1)
})

test.each([
  ['kind: [', /0\.yaml: neither YAML nor JSON/],
  ['just text', /0\.yaml: no Kubernetes objects/],
  ['{"type":"ADDED","object":{}}', /pointsman import/],
  [
    'a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]',
    /0\.yaml: neither/,
  ],
])('%j is an error that names the file', async (text, message) => {
  await expect(namesIn(text)).rejects.toThrow(message)
})

test('a configuration is read from YAML as it stands there', async () => {
  const file = write('config.yaml', 'clusterCIDR: 10.244.0.0/16\nwrongField: 1\n')
  expect(await readConfigDocument(file, Readable.from([]))).toEqual({
    name: file,
    text: 'clusterCIDR: 10.244.0.0/16\nwrongField: 1\n',
    document: { clusterCIDR: '10.244.0.0/16', wrongField: 1 },
  })
})

test('refuses a configuration that a little gzip unpacks to megabytes', async () => {
  const path = join(folder, 'config.yaml.gz')
  writeFileSync(path, gzipSync(Buffer.alloc(2 * 1024 * 1024, 'a')))
  await expect(readConfigDocument(path, Readable.from([]))).rejects.toThrow(/config\.yaml\.gz: .*larger than 1 MiB/)
})

test('refuses YAML that would take gigabytes as tokens, and says what to give in its place', async () => {
  await expect(namesIn(`items:\n${'- {a: 1}\n'.repeat(200_000)}`)).rejects.toThrow(
    /0\.yaml: .*more than 1000000 words of YAML: give JSON/,
  )
  await expect(namesIn(`a: |\n${'  x\n'.repeat(3_000_000)}`)).rejects.toThrow(
    /too large for YAML: more than 8 Mi characters: give JSON/,
  )
})
