import fc from 'fast-check'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { keepObject, textDigest, withVersionOf } from '../../model/keep-object.js'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import { readRecording } from './read-recording.js'
import type { RecordingItem } from './recording-file.js'

const folder = mkdtempSync(join(tmpdir(), 'audit-'))
afterAll(() => rmSync(folder, { recursive: true }))

const RUN = new URL('../../../../../fixtures/recordings/shop-incident-audit/', import.meta.url)
const linesOf = (name: string): readonly string[] =>
  gunzipSync(readFileSync(new URL(name, RUN)))
    .toString('utf8')
    .trimEnd()
    .split('\n')

async function itemsOf(files: readonly (readonly string[])[]): Promise<readonly RecordingItem[]> {
  const paths = files.map((lines, index) => {
    const path = join(folder, `${index}.log`)
    const text = lines.map((line) => `${line}\n`).join('')
    writeFileSync(path, index % 2 === 1 ? gzipSync(text) : text)
    return path
  })
  const items: RecordingItem[] = []
  for await (const batch of (await readRecording(paths, Readable.from(['']))).batches) items.push(...batch)
  return items
}

interface Step {
  readonly key: string
  readonly text: string
  readonly version: string
  readonly event: ObjectEvent
}

/** Each change of the state, with the object after it as kept; a deletion with the last version. */
function stepsOf(items: readonly RecordingItem[]): readonly Step[] {
  const lives = new Map<string, KubernetesObject>()
  return items.flatMap((item): readonly Step[] => {
    if (item.type !== 'event' || item.event.type === 'BOOKMARK') return []
    const { event } = item
    const { kind, metadata } = event.object
    const key = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
    const last = lives.get(key)
    const kept = keepObject(event.isBare === true && last ? withVersionOf(event.object, last) : event.object)
    if (kept === undefined) throw new Error(key)
    if (event.type === 'DELETED') lives.delete(key)
    else lives.set(key, kept)
    // The version of a deletion is in a watch alone.
    const { resourceVersion, ...others } = kept.metadata
    const object = event.type === 'DELETED' ? { ...kept, metadata: others } : kept
    const version = typeof resourceVersion === 'string' ? resourceVersion : ''
    const text = `${event.type === 'DELETED' ? 'DELETED' : version} ${textDigest(JSON.stringify(object))}`
    return [{ key, text, version, event }]
  })
}

/** Each object's versions from the first that the watch shows: the lists that it begins with have no older ones. */
function byKey(steps: readonly Step[], watch: readonly Step[]): ReadonlyMap<string, readonly string[]> {
  const firsts = new Map<string, string>()
  for (const { key, text } of watch) if (!firsts.has(key)) firsts.set(key, text)
  const found = new Map<string, readonly string[]>()
  for (const { key, text } of steps) {
    const before = found.get(key)
    if (before !== undefined || firsts.get(key) === text) found.set(key, [...(before ?? []), text])
  }
  return found
}

describe('the audit log of a real API server, beside the watch of the same run', () => {
  const audit = linesOf('audit.log.gz')
  const watched = itemsOf([linesOf('watch.jsonl.gz')]).then(stepsOf)
  /** The server was started twice, with an empty store each time; the watch is of the second. */
  const secondRun = (items: readonly RecordingItem[]): readonly Step[] => {
    const reset = items.findIndex(({ type }) => type === 'reset')
    expect(reset).toBeGreaterThan(0)
    const after = items.slice(reset)
    const ended = after.findIndex((item) => item.type === 'event' && item.event.type !== 'DELETED')
    return stepsOf(after.slice(ended))
  }

  test('gives the same objects at each change, in the same order', async () => {
    const watch = await watched
    const steps = secondRun(await itemsOf([audit]))
    expect(byKey(steps, watch)).toEqual(byKey(watch, watch))
    // A watch of each kind is in order of the versions; so is the audit log, over all kinds.
    const versions = steps.filter(({ event }) => event.type !== 'DELETED').map(({ version }) => Number(version))
    expect(versions).toEqual(versions.toSorted((one, other) => one - other))
  })

  test('leaves nothing of the store that the servers had before', async () => {
    const items = await itemsOf([audit])
    const reset = items.findIndex(({ type }) => type === 'reset')
    const lives = (steps: readonly Step[]): ReadonlySet<string> => {
      const keys = new Set<string>()
      for (const { key, event } of steps)
        if (event.type === 'DELETED') keys.delete(key)
        else keys.add(key)
      return keys
    }
    expect(lives(stepsOf(items.slice(0, reset))).size).toBeGreaterThan(10)
    const second = items.findIndex((item, at) => at > reset && item.type === 'event' && item.event.type !== 'DELETED')
    expect(lives(stepsOf(items.slice(0, second))).size).toBe(0)
  })

  test('does so however the lines are spread over the files of several servers', async () => {
    const watch = await watched
    const expected = byKey(watch, watch)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(2), { minLength: audit.length, maxLength: audit.length }), async (server) => {
        const files = [0, 1, 2].map((one) => audit.filter((_, index) => server[index] === one))
        expect(byKey(secondRun(await itemsOf(files)), watch)).toEqual(expected)
      }),
      { numRuns: 3 },
    )
  })

  test('names who deleted an object, and annotates the watch of the same run', async () => {
    const second = audit.slice(audit.findIndex((line) => line.includes('09:30:42')))
    const items = await itemsOf([second, linesOf('watch.jsonl.gz')])
    const steps = stepsOf(items)
    const deletions = steps
      .filter(({ event }) => event.type === 'DELETED')
      .map(({ key, event }) => [key.slice(0, 26), event.audited?.requester?.user])
    expect(deletions).toEqual([
      ['Service shop/metrics', 'admin'],
      ['EndpointSlice shop/metrics', 'admin'],
    ])
    const watch = await watched
    expect(byKey(steps, watch)).toEqual(byKey(watch, watch))
  })

  test('annotates the watch with a log of level Metadata', async () => {
    const stripped = audit.slice(audit.findIndex((line) => line.includes('09:30:42'))).map((line) => {
      const { requestObject: _request, responseObject: _response, ...event } = JSON.parse(line) as JsonObject
      return JSON.stringify({ ...event, level: 'Metadata' })
    })
    const steps = stepsOf(await itemsOf([stripped, linesOf('watch.jsonl.gz')]))
    const watch = await watched
    expect(byKey(steps, watch)).toEqual(byKey(watch, watch))
    const edit = steps.find(({ event }) => JSON.stringify(event.object).includes('"tier":"backend"'))
    expect(edit?.event.audited?.requester).toMatchObject({ user: 'admin', userAgent: 'deployer/1.4' })
    expect(steps.filter(({ event }) => event.audited).length).toBeGreaterThan(60)
  })
})

interface Request {
  readonly verb?: string
  readonly level?: string
  readonly at?: number
  readonly until?: number
  readonly resource?: string
  readonly name?: string
  readonly response?: JsonObject
  readonly sent?: unknown
  readonly more?: object
}

/** An event of an audit log; times in seconds. */
function line({ verb = 'create', level = 'RequestResponse', at = 1, until = at, ...rest }: Request): string {
  const { resource = 'services', name = 'web', response, sent, more } = rest
  const time = (seconds: number): string => new Date(Date.UTC(2026, 10, 30, 8) + seconds * 1000).toISOString()
  return JSON.stringify({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level,
    stage: 'ResponseComplete',
    verb,
    requestURI: `/api/v1/namespaces/shop/${resource}/${name}`,
    user: { username: 'jane', groups: ['dev'] },
    objectRef: { resource, namespace: 'shop', name, apiVersion: 'v1' },
    responseStatus: { code: 200 },
    requestObject: sent,
    responseObject: response,
    requestReceivedTimestamp: time(at),
    stageTimestamp: time(until),
    ...more,
  })
}

const web = (version: number, spec: object = {}, metadata: object = {}): JsonObject => ({
  kind: 'Service',
  apiVersion: 'v1',
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', resourceVersion: String(version), ...metadata },
  spec: { clusterIP: '10.96.0.7', selector: { app: 'web' }, ports: [{ port: 80 }], ...spec },
})

/** An item a line: what it is, the object's version, and its selector. */
async function shown(...lines: readonly string[]): Promise<readonly string[]> {
  return (await itemsOf([lines])).map((item) => {
    if (item.type === 'passed-over') return `passed over: ${item.kind}`
    if (item.type !== 'event') return `${item.type}: ${'cause' in item ? item.cause : ''}`
    if (item.event.type === 'BOOKMARK') return 'bookmark'
    const { metadata, spec } = item.event.object as KubernetesObject & {
      readonly spec?: { readonly selector?: object }
    }
    const selector = spec?.selector === undefined ? '' : ` ${JSON.stringify(spec.selector)}`
    return `${item.event.type} ${metadata.name} ${typeof metadata['resourceVersion'] === 'string' ? metadata['resourceVersion'] : '-'}${selector}`
  })
}

const created = line({ response: web(5) })

describe('requests that change an object', () => {
  test('go by version, though one that was committed first ended last', async () => {
    const late = line({ verb: 'update', at: 2, until: 9, response: web(6, { selector: { app: 'a' } }) })
    const early = line({ verb: 'update', at: 3, until: 4, response: web(7, { selector: { app: 'b' } }) })
    expect(await shown(created, early, late)).toEqual([
      'ADDED web 5 {"app":"web"}',
      'MODIFIED web 6 {"app":"a"}',
      'MODIFIED web 7 {"app":"b"}',
    ])
    const times = (await itemsOf([[created, early, late]])).map(
      (item) => item.type === 'event' && item.event.observedAt,
    )
    expect(times.map((time) => Number(time) % 60_000)).toEqual([1000, 4000, 4000])
  })

  test('are left out where they failed, were tried, or changed nothing', async () => {
    const uri = { requestURI: '/api/v1/namespaces/shop/services/web?dryRun=All&fieldManager=x' }
    const options = { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/__internal', dryRun: ['All'] }
    expect(
      await shown(
        created,
        line({ verb: 'patch', at: 2, response: web(5) }),
        line({ verb: 'patch', at: 2, response: web(6), more: uri }),
        line({ verb: 'delete', at: 2, response: web(5), sent: options }),
        line({ verb: 'update', at: 2, more: { responseStatus: { code: 409, status: 'Failure' } } }),
        line({
          verb: 'create',
          at: 2,
          more: { objectRef: { resource: 'services', name: 'web', subresource: 'proxy' } },
        }),
      ),
    ).toEqual(
      expect.arrayContaining([
        'passed over: patch of Service that changed nothing',
        'passed over: dry run of services',
        'passed over: failed update of services',
        'passed over: create of services/proxy',
        'ADDED web 5 {"app":"web"}',
      ]),
    )
  })

  test('a deletion comes before the object that took its name, whenever its answer was sent', async () => {
    const again = line({
      at: 3,
      until: 3.1,
      response: { ...web(9), metadata: { ...(web(9)['metadata'] as object), uid: 'u2' } },
    })
    const deleted = line({ verb: 'delete', at: 2, until: 5, response: web(5) })
    expect(await shown(created, again, deleted)).toEqual([
      'ADDED web 5 {"app":"web"}',
      'DELETED web 5 {"app":"web"}',
      'ADDED web 9 {"app":"web"}',
    ])
  })

  test('a deletecollection deletes each object of its answer', async () => {
    const { kind: _kind, apiVersion: _version, ...item } = web(5)
    const items = { kind: 'ServiceList', apiVersion: 'v1', metadata: {}, items: [item] }
    const all = line({ verb: 'deletecollection', at: 2, response: items })
    expect(await shown(created, all)).toEqual(['ADDED web 5 {"app":"web"}', 'DELETED web 5 {"app":"web"}'])
  })

  test('level Request deletes by name, and not what a finalizer holds', async () => {
    const deletion = line({ verb: 'delete', level: 'Request', at: 2, sent: { propagationPolicy: 'Background' } })
    expect(await shown(created, deletion)).toEqual(['ADDED web 5 {"app":"web"}', 'DELETED web -'])
    const held = line({ response: web(5, {}, { finalizers: ['service.kubernetes.io/load-balancer-cleanup'] }) })
    expect((await shown(held, deletion))[1]).toMatch(/^gap: a deletion of Service shop\/web that waits for a finalizer/)
  })

  test.each<readonly [string, unknown, string]>([
    ['a merge patch', { spec: { selector: { tier: 'x' } } }, 'MODIFIED web - {"app":"web","tier":"x"}'],
    ['a JSON Patch', [{ op: 'replace', path: '/spec/selector/app', value: 'y' }], 'MODIFIED web - {"app":"y"}'],
    ['a JSON Patch of a list', [{ op: 'add', path: '/spec/ports/0/name', value: 'y' }], 'gap: a JSON Patch'],
    ['a list with merge keys', { spec: { ports: [{ port: 81 }] } }, 'gap: it holds the list spec.ports'],
    ['a directive', { spec: { $retainKeys: ['type'] } }, 'gap: it holds the directive $retainKeys'],
    ['a server-side apply', { kind: 'Service', apiVersion: 'v1', spec: {} }, 'gap: the result of a server-side apply'],
    ['what sets other fields', { spec: { type: 'NodePort' } }, 'gap: the API server sets other fields'],
  ])('a patch that stands without its result is applied where it decides: %s', async (_, sent, expected) => {
    const [, found = ''] = await shown(created, line({ verb: 'patch', level: 'Request', at: 2, sent }))
    expect(found.replace(/^gap: a patch of .* after it: /, 'gap: ').slice(0, expected.length)).toBe(expected)
  })

  test('an older state of the store is a reset, and its versions count from there on', async () => {
    const other = { ...web(900), metadata: { name: 'b', namespace: 'shop', uid: 'u9', resourceVersion: '900' } }
    const restored = { ...web(6), metadata: { name: 'c', namespace: 'shop', uid: 'u8', resourceVersion: '6' } }
    const lines = [
      created,
      line({ name: 'b', at: 2, response: other }),
      line({ name: 'c', at: 100, response: restored }),
    ]
    expect((await shown(...lines)).map((text) => text.slice(0, 11))).toEqual([
      'ADDED web 5',
      'ADDED b 900',
      'reset: the ',
      'ADDED c 6 {',
    ])
  })
})

describe('the forms that audit logs come in', () => {
  const event = JSON.parse(created) as JsonObject
  const { kind: _kind, apiVersion: _version, ...bare } = event
  test.each<readonly [string, JsonObject]>([
    ['the webhook backend', { kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items: [bare] }],
    ['Google Cloud, as it was', { insertId: 'x', timestamp: '2026-11-30T08:00:01Z', jsonPayload: event }],
    ['CloudWatch, exported', { timestamp: 1796025601000, ingestionTime: 1, message: created }],
    ['CloudWatch, queried', { '@timestamp': '2026-11-30 08:00:01.000', '@message': created }],
    ['CloudWatch, a subscription', { messageType: 'DATA_MESSAGE', logEvents: [{ id: '1', message: created }] }],
    ['Azure', { category: 'kube-audit', properties: { log: created, stream: 'stdout' } }],
    [
      'Google Cloud, its own form',
      {
        timestamp: '2026-11-30T08:00:01Z',
        protoPayload: {
          '@type': 'type.googleapis.com/google.cloud.audit.AuditLog',
          serviceName: 'k8s.io',
          methodName: 'io.k8s.core.v1.services.create',
          resourceName: 'core/v1/namespaces/shop/services/web',
          authenticationInfo: { principalEmail: 'jane' },
          requestMetadata: { callerIp: '192.0.2.1', callerSuppliedUserAgent: 'kubectl/v1.36.0' },
          response: { '@type': 'core.k8s.io/v1.Service', ...web(5) },
          status: {},
        },
      },
    ],
  ])('%s', async (_, document) => {
    const [item] = await itemsOf([[JSON.stringify(document)]])
    expect(item).toMatchObject({ type: 'event', event: { type: 'ADDED', audited: { requester: { user: 'jane' } } } })
  })

  test('one line that is none of these costs no more than itself', async () => {
    expect(
      (await shown('{"kind":"Event","apiVersion":"audit.k8s.io/v1",', created)).map((text) => text.slice(0, 9)),
    ).toEqual(['ADDED web', 'bad-line:'])
  })

  test('an impersonated user is the author, and who impersonated it is named', async () => {
    const more = {
      impersonatedUser: { username: 'bob', groups: ['ops'] },
      sourceIPs: ['192.0.2.1'],
      userAgent: 'kubectl/v1',
    }
    const [item] = await itemsOf([[line({ response: web(5), more })]])
    expect(item?.type === 'event' && item.event.type !== 'BOOKMARK' && item.event.audited).toMatchObject({
      manager: 'bob',
      requester: {
        user: 'bob',
        groups: ['ops'],
        userAgent: 'kubectl/v1',
        sourceIPs: ['192.0.2.1'],
        impersonatedBy: 'jane',
      },
    })
  })
})
