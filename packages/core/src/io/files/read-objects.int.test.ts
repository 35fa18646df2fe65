import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FileError } from './read-file.js'
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

test('ServiceCIDRs of either version have no namespace', async () => {
  const cidrs = 'metadata: {name: kubernetes}\nspec: {cidrs: [10.96.0.0/12]}\n'
  const typed = JSON.stringify({ kind: 'ServiceCIDRList', items: [{ metadata: { name: 'more' } }] })
  expect(
    await namesIn(
      `apiVersion: networking.k8s.io/v1beta1\nkind: ServiceCIDR\n${cidrs}`,
      typed,
      'apiVersion: example.com/v1\nkind: ServiceCIDR\nmetadata: {name: other}\n',
    ),
  ).toEqual(['ServiceCIDR /kubernetes', 'ServiceCIDR /more', 'passed over 1 ServiceCIDR'])
})

test('reads standard input', async () => {
  const { objects } = await readObjects(['-'], Readable.from(['{"kind":"Node",', '"metadata":{"name":"n"}}']))
  expect(objects).toHaveLength(1)
})

test.each([
  ['kind: [', /0\.yaml: neither YAML nor JSON/],
  ['just text', /0\.yaml: no Kubernetes objects/],
  ['{"type":"ADDED","object":{}}', /an event of a watch whose object has no kind/],
  ['', /this is an empty file/],
  ['{"kind":"Service","metadata":{"name":"a"},', /neither YAML nor JSON/],
  [
    'a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]',
    /0\.yaml: neither/,
  ],
])('%j is an error that names the file', async (text, message) => {
  await expect(namesIn(text)).rejects.toThrow(message)
})

test('refuses YAML that would take gigabytes as tokens, and says what to give in its place', async () => {
  await expect(namesIn(`items:\n${'- {a: 1}\n'.repeat(200_000)}`)).rejects.toThrow(
    /0\.yaml: .*more than 1000000 words of YAML: give JSON/,
  )
  await expect(namesIn(`a: |\n${'  x\n'.repeat(3_000_000)}`)).rejects.toThrow(
    /too large for YAML: more than 8 Mi characters: give JSON/,
  )
})

const service = (name: string, version: string, port: number): string =>
  JSON.stringify({
    kind: 'Service',
    metadata: { name, namespace: 'x', resourceVersion: version },
    spec: { ports: [{ port }] },
  })

async function portsIn(...texts: readonly string[]): Promise<readonly unknown[]> {
  const paths = texts.map((text, index) => write(`${index}.json`, text))
  const { objects, problems } = await readObjects(paths, Readable.from([]))
  const ports = objects.map(({ metadata, spec }) => [metadata.name, JSON.stringify(spec).replaceAll(/\D/g, '')])
  return [...ports, ...problems.map((problem) => problem.replace(`${folder}/`, ''))]
}

describe('an object that is given several times', () => {
  test.each([
    ['the newest, as numbers', [service('a', '100', 1), service('a', '99', 2)], '1', /given twice, .*newest.*100/],
    ['the newest, wherever it stands', [service('a', '99', 2), service('a', '100', 1)], '1', /newest.*100/],
    ['the last, where versions are no numbers', [service('a', 'x2', 1), service('a', 'x1', 2)], '2', /the last one/],
    ['the last, where versions are equal', [service('a', '7', 1), service('a', '7', 2)], '2', /the last one/],
    [
      'the same, where all are equal',
      [service('a', '7', 1), service('a', '7', 1)],
      '1',
      /^1 object is given several times, equal/,
    ],
    [
      'the newest of three',
      [service('a', '7', 1), service('a', '9', 3), service('a', '8', 2)],
      '3',
      /3 times.*newest.*9/,
    ],
  ])('is there once: %s', async (_, texts, port, problem) => {
    const expected = [['a', port], expect.stringMatching(problem)]
    expect(await portsIn(...texts)).toEqual(expected)
    expect(await portsIn(texts.join('\n'))).toEqual(expected)
    expect(await portsIn(texts.join(''))).toEqual(expected)
  })

  test('is named for the first few', async () => {
    const texts = Array.from({ length: 8 }, (_, index) => [service(`s${index}`, '1', 1), service(`s${index}`, '2', 2)])
    const found = await portsIn(texts.flat().join('\n'))
    expect(found).toHaveLength(8 + 5 + 1)
    expect(found.at(-1)).toBe(
      '3 more objects are given several times, with different content: the newest of each is used',
    )
  })

  test('is gone where the watch says so', async () => {
    const event = (type: string, object: string): string => `{"type":"${type}","object":${object}}`
    const events = [
      event('ADDED', service('a', '1', 1)),
      event('ADDED', service('b', '2', 1)),
      event('MODIFIED', service('b', '4', 7)),
    ]
    const deleted = [
      ...events,
      event('DELETED', service('a', '3', 1)),
      event('BOOKMARK', '{"kind":"Service","metadata":{"resourceVersion":"9"}}'),
    ]
    expect(await portsIn(deleted.join('\n'))).toEqual([['b', '7'], expect.stringMatching(/^4 events of a watch/)])
    const back = [...deleted, event('ADDED', service('a', '5', 8))]
    expect(await portsIn(back.join('\n'))).toEqual([['a', '8'], ['b', '7'], expect.stringMatching(/^5 events/)])
  })
})

describe('JSON values one after the other', () => {
  const log =
    '==== START logs for container web of pod app/web-1 ====\nGET / 200\n{"level":"info","msg":"it\'s {"}\n{ not json\n{"a":[\n==== END logs ====\n'

  test('are read with the lines of logs between them', async () => {
    expect(await portsIn(`${service('a', '1', 1)}\n${log}${service('b', '1', 2)}`)).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
    expect(await portsIn(`$ kubectl get svc -w -o json\n${service('a', '1', 1)}${service('b', '1', 2)}\n^C`)).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
  })

  test('are read beside YAML', async () => {
    expect(
      await portsIn(
        `${service('a', '1', 1)}\n---\nkind: Service\nmetadata: {name: b}\nspec: {ports: [{port: 2}]}\n---\n${service('c', '1', 3)}\n`,
      ),
    ).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ])
  })

  test('of which one is cut off are used without it, which is said', async () => {
    const cut = `${service('a', '1', 1)}\n${JSON.stringify(JSON.parse(service('b', '1', 2)), null, 4).slice(0, 90)}`
    expect(await portsIn(cut)).toEqual([
      ['a', '1'],
      '0.json: line 2: the JSON that begins here is damaged or cut off: it is not used',
    ])
  })

  test('that never end are given up', async () => {
    await expect(portsIn(`${service('a', '1', 1)}\n${'{"a":[\n'.repeat(100_000)}`)).rejects.toThrow(
      /too much JSON that is damaged/,
    )
  })

  test('hold values within a limit together', async () => {
    const list = `${service('a', '1', 1)}\n${`[${'0,'.repeat(2_999_999)}0]\n`.repeat(3)}`
    await expect(portsIn(list)).rejects.toThrow(/more than 8000000 values/)
  })
})

test.each([
  ['of root', '[root@node ~]# kubectl get svc a -o yaml', '[root@node ~]# '],
  ['of a user, with carriage returns', 'me@node:~$ kubectl get svc a -o yaml\r', 'me@node:~$\r'],
  ['without a name', '$ sudo k3s kubectl get svc a -o yaml', '$ '],
])('reads YAML between the prompts of a shell: %s', async (_, first, last) => {
  const yaml = 'apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: x}\nspec: {ports: [{port: 7}]}'
  expect(await portsIn(`${first}\n${yaml}\n${last}\n`)).toEqual([['a', '7']])
})

test('keeps Pods beside what a proxy reads', async () => {
  const path = write('pods.json', '{"kind":"PodList","items":[{"metadata":{"name":"p"}},{"metadata":{}}]}')
  const { objects, pods, passedOver } = await readObjects([path], Readable.from([]))
  expect({ objects, pods, passedOver: [...passedOver] }).toEqual({
    objects: [],
    pods: [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default' } }],
    passedOver: [['Pod', 1]],
  })
})

describe('what is no file of objects', () => {
  const gzip = gzipSync(Buffer.from(service('a', '1', 1)))
  test.each<readonly [string, string | Buffer, RegExp]>([
    [
      'saved rules',
      '# Generated by iptables-save v1.8.9\n*nat\nCOMMIT\n',
      /output of iptables-save: give it with --rules\)$/,
    ],
    [
      'rules as iptables -S prints them',
      '-P INPUT ACCEPT\n-A INPUT -j ACCEPT\n',
      /output of iptables -S: give it with --rules/,
    ],
    ['nftables', 'table ip nat {\n\tchain PREROUTING {\n\t}\n}\n', /output of nft list ruleset/],
    [
      'kubectl describe',
      'Name:              web\nNamespace:         app\nLabels:            <none>\nSelector:  app=web\n',
      /output of kubectl describe: run `kubectl get services/,
    ],
    [
      'a table',
      'NAMESPACE   NAME   TYPE        CLUSTER-IP\ndefault     a      ClusterIP   10.96.0.1\n',
      /table of kubectl get: add -o json/,
    ],
    ['a page', '<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>', /an HTML page/],
    [
      'an error of kubectl',
      'Error from server (Forbidden): services is forbidden\n',
      /a message of kubectl \(Error from server \(Forbidden\): services is forbidden\)/,
    ],
    [
      'an error of the API server',
      '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","code":401}',
      /an error of the API server, Unauthorized/,
    ],
    ['a configuration', 'kind: KubeProxyConfiguration\nmode: ipvs\n', /give it with --config/],
    [
      'an audit log',
      '{"kind":"Event","apiVersion":"audit.k8s.io/v1"}\n{"kind":"Event","apiVersion":"audit.k8s.io/v1"}\n',
      /pointsman import/,
    ],
    ['base64 of a gzip', gzip.toString('base64'), /base64 text of gzip data: run `base64 -d FILE \| gunzip`/],
    ['a zip archive', Buffer.from('PK\u0003\u0004aaaaaaaaaaaaaaaaaaaaaaaaa'), /a zip archive: run `unzip`/],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4, 1]), /xz data/],
    [
      'a log',
      Buffer.from('SQLite format 3\0aaaaaaaaaaaaaaaaaaaa'),
      /a change log goes with --log \(a SQLite database\)/,
    ],
  ])('is refused by its name: %s', async (_, content, message) => {
    const path = join(folder, 'given')
    writeFileSync(path, content)
    const error = await readObjects([path], Readable.from([])).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(FileError)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('\n')
  })
})

test.each<readonly [string, (text: string) => Buffer]>([
  ['UTF-16 with its mark', (text) => Buffer.from(`\uFEFF${text}`, 'utf16le')],
  ['UTF-16 of the other order', (text) => Buffer.from(`\uFEFF${text}`, 'utf16le').swap16()],
  ['UTF-16 without a mark', (text) => Buffer.from(text, 'utf16le')],
  ['UTF-8 with a mark', (text) => Buffer.from(`\uFEFF${text}`)],
  ['UTF-16 in gzip', (text) => gzipSync(Buffer.from(`\uFEFF${text}`, 'utf16le'))],
  ['Latin 1', (text) => Buffer.from(text, 'latin1')],
])('reads %s', async (_, encode) => {
  const path = join(folder, 'encoded')
  writeFileSync(path, encode(`kind: Service\r\nmetadata: {name: web, annotations: {a: "\u00e4"}}\r\n`))
  const { objects } = await readObjects([path], Readable.from([]))
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(['web'])
})
