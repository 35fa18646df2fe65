import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { isJsonObject, seq } from '@pointsman/core'
import type { LogRecord } from '@pointsman/core'
import { openChangeLog, openChangeLogWriter } from '@pointsman/core/io'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

async function exportTo(name: string, args: readonly string[] = [], from = log): Promise<string> {
  const file = folder.path(name)
  const { status } = await runPointsman(['export', '--log', from, '--output', file, ...args])
  expect(status).toBe(0)
  return file
}

async function importFrom(file: string, name: string): Promise<string> {
  const made = folder.path(name)
  const { status, stderr } = await runPointsman(['import', file, '--log', made])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return made
}

function recordsOf(file: string): readonly LogRecord[] {
  const reader = openChangeLog(file)
  const records = [...reader.records()]
  reader.close()
  return records
}

function objectsAt(file: string, position: number): unknown {
  const reader = openChangeLog(file)
  const { objects, received } = reader.objectsAt(seq(position))
  reader.close()
  const named = objects.map(
    (object) => [`${object.kind} ${String(object.metadata.namespace)}/${object.metadata.name}`, object] as const,
  )
  return { objects: Object.fromEntries(named), received: [...received].sort() }
}

describe('what is exported imports', () => {
  test('to the same events, state and authors', async () => {
    const again = await importFrom(await exportTo('whole.jsonl.gz'), 'again.db')
    expect(recordsOf(again)).toEqual(recordsOf(log))
    for (const position of [1, 60, 108, 128]) expect(objectsAt(again, position)).toEqual(objectsAt(log, position))
  })

  test('from a pipe as from a file, byte for byte', async () => {
    const { stdout, stderr, status } = await runPointsman(['export'], { env: { POINTSMAN_LOG: log } })
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'exported 128 events\n' })
    expect(stdout).toBe(readFileSync(await exportTo('whole.jsonl'), 'utf8'))
    const piped = folder.path('piped.db')
    await runPointsman(['import', '-', '--log', piped], { input: stdout })
    expect(recordsOf(piped)).toEqual(recordsOf(log))
  })

  test('with times that were estimated marked as such still', async () => {
    const kubectl = new URL('../../fixtures/wire/kubectl-watch-events.json', import.meta.url).pathname
    const estimated = folder.path('kubectl.db')
    await runPointsman(['import', kubectl, '--log', estimated])
    const again = await importFrom(await exportTo('kubectl.jsonl', [], estimated), 'kubectl-again.db')
    expect(recordsOf(again)).toEqual(recordsOf(estimated))
    expect(recordsOf(again).some((record) => 'estimated' in record)).toBe(true)
  })

  test('of a span to the state and the events of that span', async () => {
    const file = await exportTo('span.jsonl', ['--from', '107', '--until', '02:24:45'])
    const again = await importFrom(file, 'span.db')
    const shown = ({ record }: { readonly record: LogRecord }): unknown => ({ ...record, seq: 0 })
    const events = recordsOf(again).slice(-2)
    expect(events.map((record) => shown({ record }))).toEqual(
      recordsOf(log)
        .slice(106, 108)
        .map((record) => shown({ record })),
    )
    expect(objectsAt(again, events[1]?.seq ?? 0)).toEqual(objectsAt(log, 108))
    expect(readFileSync(file, 'utf8').split('\n')[0]).toMatch(
      /^\{"observedAt":"2026-11-21T02:24:43.577Z","type":"ADDED","object":\{.*"kind":"Node"/,
    )
  })

  test('also where the beginning of the log was pruned', async () => {
    const pruned = folder.path('pruned.db')
    const writer = openChangeLogWriter(pruned, { durability: 'normal', snapshotEvery: 20 })
    for (const record of recordsOf(log)) {
      if (record.type === 'object') {
        const { event, object, observedAt, author } = record
        writer.appendSync([{ type: 'event', event: { type: event, object, observedAt, ...(author && { author }) } }])
      } else if (record.type === 'bookmark')
        writer.appendSync([{ type: 'event', event: { ...record, type: 'BOOKMARK' } }])
    }
    writer.prune({ now: Date.UTC(2026, 10, 21, 2, 24, 50), maxAgeMs: 5000 })
    const { firstSeq } = writer.info()
    writer.close()
    expect(firstSeq).toBeGreaterThan(20)
    const { stderr } = await runPointsman(['export', '--log', pruned, '--output', folder.path('pruned.jsonl')])
    expect(stderr).toMatch(/^exported \d+ events, preceded by \d+ objects that existed before to .*pruned\.jsonl\n$/)
    const again = await importFrom(folder.path('pruned.jsonl'), 'pruned-again.db')
    expect(objectsAt(again, recordsOf(again).length)).toEqual(objectsAt(log, 128))
  })
})

describe('an export file', () => {
  test('is for its owner alone, and comes to be whole or not at all', async () => {
    const file = await exportTo('mode.jsonl')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    writeFileSync(file, 'precious')
    const { status, stderr } = await runPointsman(['export', '--log', log, '--output', folder.path('nowhere/x.jsonl')])
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/^error: .*nowhere\/x\.jsonl: .*\n$/)
    await runPointsman(['export', '--log', log, '--output', file, '--from', '500'])
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })

  test('is never the log itself', async () => {
    const { status, stderr } = await runPointsman(['export', '--log', log, '--output', log])
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `error: --output ${log} is the log itself: give another file\n`,
    })
    expect(recordsOf(log)).toHaveLength(128)
  })

  test('has an example in the help of its command', async () => {
    expect((await runPointsman(['export', '--help'])).stdout).toContain('--redact --output for-a-stranger.jsonl.gz')
  })
})

describe('a redacted export', () => {
  test('holds no name and no address of the original', async () => {
    const file = await exportTo('redacted.jsonl.gz', ['--redact'])
    const text = gunzipSync(readFileSync(file)).toString('utf8')
    const originals = new Set(
      recordsOf(log).flatMap((record) => (record.type === 'object' ? [...tellingTexts(record)] : [])),
    )
    expect([...originals]).toEqual(
      expect.arrayContaining([
        'shop',
        'checkout',
        'kubectl-edit',
        '10.244.1.14',
        'node-a',
        'zone-a',
        'http',
        '203.0.113.0/24',
      ]),
    )
    // As a word of its own: `auth` is in the field `author` of every export.
    const words = new Set(text.split(/[^\w.:/-]+/).flatMap((word) => [word, ...word.split(/[^\w]+/)]))
    expect([...originals].filter((original) => words.has(original))).toEqual([])
  })

  test('answers services as the original does, in other words', async () => {
    const redacted = await importFrom(await exportTo('shape.jsonl', ['--redact']), 'shape.db')
    for (const at of ['56', '108', '128']) expect(await shapes(redacted, at)).toEqual(await shapes(log, at))
    const { stdout } = await runPointsman(['log', '--oneline', '--log', redacted])
    expect(stdout).toContain('endpoints: 2 -> 0')
  })

  test('tells the same incident', async () => {
    const file = await exportTo('incident.jsonl', ['--redact'])
    const { stdout } = await runPointsman(['demo', '--recording', file], { env: { TMPDIR: folder.path('.') } })
    expect(stdout).toMatch(/^[a-z]{14}\/[a-z]{14} had no endpoints for 6\.3 s\n/)
    expect(stdout).toMatch(/lost its last 2 endpoints, 4 ms after [a-z]{14} changed Service/)
  })

  test('has the same pseudonyms by the same key, and others by another or a random one', async () => {
    const texts = await Promise.all(
      [['--redact-key', 'a'], ['--redact-key', 'a'], ['--redact-key', 'b'], ['--redact'], ['--redact']].map(
        async (args) => (await runPointsman(['export', '--log', log, ...args])).stdout,
      ),
    )
    expect(texts[0]).toBe(texts[1])
    expect(new Set(texts).size).toBe(4)
  })

  test('holds no name that somebody put behind a domain of Kubernetes, nor one of a notice, a sync or a configuration', async () => {
    const hostile = new URL('../../fixtures/security/07-redact-kubernetes-domains/recording.jsonl', import.meta.url)
      .pathname
    const file = await importFrom(hostile, 'hostile.db')
    const writer = openChangeLogWriter(file, { durability: 'normal', node: 'SECRETnode', bootId: 'SECRETboot' })
    const observedAt = Date.UTC(2026, 10, 21, 3)
    writer.appendSync([
      {
        type: 'event',
        event: { type: 'BOOKMARK', kind: 'Node', resourceVersion: 'SECRETv', initialEventsEnd: true, observedAt },
      },
      { type: 'notice', observedAt, code: 'WATCH_LOST', message: 'SECRET', details: { SECRETkey: 'SECRET' } },
      { type: 'config', observedAt, config: { nodeName: 'SECRET', bindAddress: '10.99.98.97' } },
    ])
    writer.close()
    for (const from of [[], ['--from', '4']]) {
      const { stdout, status } = await runPointsman(['export', '--log', file, '--redact', ...from])
      expect(status).toBe(0)
      expect(stdout.match(/[a-z0-9./-]*(?:secret|acme|10\.99)[a-z0-9./-]*/gi)).toBeNull()
      expect(stdout.trim().split('\n').length).toBeGreaterThan(3)
    }
  })

  test('needs a key that is one', async () => {
    const { status, stderr } = await runPointsman(['export', '--log', log, '--redact-key', ''])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^error: --redact-key is empty: .*\n$/)
  })
})

/** Services without names and addresses: what is left has to be equal. */
async function shapes(file: string, at: string): Promise<readonly string[]> {
  const { stdout } = await runPointsman(['services', '--log', file, '--at', at, '-o', 'jsonl'])
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const {
        type,
        protocol,
        port,
        nodePort,
        readyEndpoints,
        totalEndpoints,
        endpointsOnNode,
        affinitySeconds,
        externalTrafficPolicy,
      } = JSON.parse(line) as Record<string, unknown>
      return JSON.stringify([
        type,
        protocol,
        port,
        nodePort,
        readyEndpoints,
        totalEndpoints,
        endpointsOnNode,
        affinitySeconds,
        externalTrafficPolicy,
      ])
    })
    .sort()
}

/** Every text of an object that is somebody's: names, label keys and values, managers, addresses, uids. */
function* tellingTexts(value: unknown): Generator<string> {
  if (typeof value === 'string') {
    if (!PUBLIC.test(value) && value.length > 2) yield value
  } else if (Array.isArray(value)) for (const item of value as readonly unknown[]) yield* tellingTexts(item)
  else if (isJsonObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (['type', 'event', 'kind', 'resourceVersion'].includes(key)) continue
      if (['labels', 'selector'].includes(key) && isJsonObject(item)) {
        for (const label of Object.keys(item)) if (!label.includes('kubernetes.io/')) yield label
      }
      yield* tellingTexts(item)
    }
  }
}

/** Words of the API, numbers, times, and names that every cluster has. */
const PUBLIC =
  /^(?:None|Cluster|Local|ClientIP|SingleStack|NoSchedule|Update|status|VIP|Pod|Service|IPv[46]|v1|TCP|UDP|discovery\.k8s\.io\/v1|default|kubernetes|kube-system|\d+|[a-z.-]+\.k8s\.io|[a-z.]+\.kubernetes\.io\/.*|\d{4}-.*Z|ClusterIP|NodePort|LoadBalancer|InternalIP)$/
