import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FileError } from './read-file.js'
import { readRecording } from './read-recording.js'
import type { RecordingItem } from './recording-file.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointsman-recording-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

interface Written {
  readonly at?: string
  readonly type?: string
  readonly name?: string
  readonly kind?: string
  readonly version?: string
  readonly written?: string
}

function event({ at, type = 'ADDED', name = 'web', kind = 'Service', version, written }: Written): object {
  return {
    ...(at !== undefined && { observedAt: `2026-01-01T00:00:${at}Z` }),
    type,
    object: {
      kind,
      metadata: {
        name,
        namespace: 'shop',
        ...(version !== undefined && { resourceVersion: version }),
        ...(written !== undefined && {
          managedFields: [{ manager: 'kubectl', operation: 'Update', time: `2026-01-01T00:00:${written}Z` }],
        }),
      },
    },
  }
}

const lines = (...events: readonly object[]): string => events.map((one) => `${JSON.stringify(one)}\n`).join('')

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function itemsOf(paths: readonly string[], stdin = ''): Promise<readonly RecordingItem[]> {
  const recording = await readRecording(paths, Readable.from([stdin]))
  const items: RecordingItem[] = []
  for await (const batch of recording.batches) items.push(...batch)
  return items
}

/** `00.5 ADDED web`, an item a line, with what makes it unusual behind. */
function shown(items: readonly RecordingItem[]): readonly string[] {
  return items.map((item) => {
    switch (item.type) {
      case 'event': {
        const { event: one } = item
        const seconds = new Date(one.observedAt).toISOString().slice(17, -1)
        const what =
          one.type === 'BOOKMARK' ? `${one.kind}${one.initialEventsEnd ? ' initial' : ''}` : one.object.metadata.name
        return `${seconds} ${one.type} ${what}${one.estimated === true ? ' estimated' : ''}`
      }
      case 'passed-over':
        return `${item.line}: passed over ${item.kind}`
      case 'watch-error':
        return `${item.line}: error ${item.code ?? ''} ${item.message}`
      case 'bad-line':
      case 'gap':
      case 'reset':
        return `${item.line}: ${item.cause}`
    }
  })
}

describe('files with times', () => {
  test('are merged by them, the first file first at the same time', async () => {
    const one = write('one.jsonl', lines(event({ at: '01.000', name: 'a' }), event({ at: '03.000', name: 'b' })))
    const two = write('two.jsonl', lines(event({ at: '01.000', name: 'c' }), event({ at: '02.000', name: 'd' })))
    expect(shown(await itemsOf([one, two]))).toEqual([
      '01.000 ADDED a',
      '01.000 ADDED c',
      '02.000 ADDED d',
      '03.000 ADDED b',
    ])
  })

  test('may be gzip, come from standard input, and name who made a change', async () => {
    const author = { manager: 'kubectl-edit', operation: 'Update', time: '2026-01-01T00:00:01Z' }
    const zipped = write('one.jsonl.gz', gzipSync(lines({ ...event({ at: '01.000', name: 'a' }), author })))
    const items = await itemsOf([zipped, '-'], lines(event({ at: '00.500', name: 'b' })))
    expect(shown(items)).toEqual(['00.500 ADDED b', '01.000 ADDED a'])
    expect(items[1]).toMatchObject({
      event: { author: { manager: 'kubectl-edit', operation: 'Update', time: Date.UTC(2026, 0, 1, 0, 0, 1) } },
    })
  })
})

describe('files that kubectl printed', () => {
  test('are ordered together by resourceVersion, at the newest managedFields time, which never goes back', async () => {
    const services = write(
      'services.json',
      lines(
        event({ name: 'late', version: '1000', written: '05' }),
        event({ name: 'early', version: '90', written: '01' }),
      ),
    )
    const slices = write(
      'slices.json',
      lines(
        event({ name: 'between', kind: 'EndpointSlice', version: '200', written: '09' }),
        event({ type: 'DELETED', name: 'between', kind: 'EndpointSlice', version: '1001' }),
      ),
    )
    expect(shown(await itemsOf([services, slices]))).toEqual([
      '01.000 ADDED early estimated',
      '09.000 ADDED between estimated',
      '09.000 ADDED late estimated',
      '09.000 DELETED between estimated',
    ])
  })

  test('may be pretty-printed, with carriage returns and a byte order mark', async () => {
    const pretty = [
      event({ name: 'a', version: '1', written: '01' }),
      event({ name: 'b', version: '2', written: '02' }),
    ]
      .map((one) => `${JSON.stringify(one, undefined, 4)}\n`)
      .join('')
    const path = write('pretty.json', `\uFEFF${pretty.replaceAll('\n', '\r\n')}`)
    expect(shown(await itemsOf([path]))).toEqual(['01.000 ADDED a estimated', '02.000 ADDED b estimated'])
  })

  test('are merged with files that have times', async () => {
    const untimed = write('kubectl.json', lines(event({ name: 'a', version: '2', written: '02' })))
    const timed = write(
      'recording.jsonl',
      lines(event({ at: '01.000', name: 'b' }), event({ at: '03.000', name: 'c' })),
    )
    expect(shown(await itemsOf([untimed, timed]))).toEqual([
      '01.000 ADDED b',
      '02.000 ADDED a estimated',
      '03.000 ADDED c',
    ])
  })
})

test('says of each line that is no event where it stands and why, and reads the rest', async () => {
  const good = JSON.stringify(event({ at: '01.000', name: 'a' }))
  const path = write(
    'broken.jsonl',
    [
      good,
      '',
      'not json',
      '[]',
      '{"type":"ADDED"}',
      '{"kind":"Service","metadata":{"name":"x"}}',
      '{"type":"CHANGED","object":{}}',
      '{"observedAt":"soon","type":"ADDED","object":{}}',
      '{"type":"ADDED","object":{"kind":"Service","metadata":{}}}',
      '\u0000\u0000\u0000',
      '{',
      '  "type": "ADDED",',
      good,
      '{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"p"}}}',
      '{"type":"ADDED","object":{"kind":"Service","apiVersion":"serving.knative.dev/v1","metadata":{"name":"p"}}}',
      '{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}',
      '{"type":"BOOKMARK","object":{"kind":"Node","metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}}',
      good.slice(0, 40),
    ].join('\n'),
  )
  expect(shown(await itemsOf([path]))).toEqual([
    '01.000 ADDED a',
    expect.stringMatching(/^3: not JSON: /),
    '4: not a JSON object',
    '5: not a watch event: "type" and "object" are required',
    '6: an object, not a watch event: record with --watch --output-watch-events, or use --objects',
    '7: unknown watch event type "CHANGED"',
    '8: observedAt is no RFC 3339 time: "soon"',
    '9: the Service has no metadata.name',
    expect.stringMatching(/^10: not JSON: /),
    '11: incomplete document: its last line must be }',
    '01.000 ADDED a',
    '14: passed over Pod',
    '15: passed over Service (serving.knative.dev/v1)',
    '16: error 410 too old resource version',
    '01.000 BOOKMARK Node initial estimated',
    expect.stringMatching(/^18: not JSON: /),
  ])
})

test('a gzip file that was cut off gives what came before, and says so', async () => {
  const text = lines(
    ...Array.from({ length: 5000 }, (_, index) => event({ at: '01.000', name: `s${(index * 7919) % 5000}` })),
  )
  const path = write('cut.jsonl.gz', gzipSync(text).subarray(0, 8000))
  const items = await itemsOf([path])
  const bad = items.filter(({ type }) => type === 'bad-line')
  expect(items.length).toBeGreaterThan(100)
  expect(bad.at(-1)).toMatchObject({ cause: expect.stringContaining('truncated') })
})

test('reads a line of a hundred megabytes', async () => {
  const path = write(
    'long.jsonl',
    `${JSON.stringify({ ...event({ at: '01.000', name: 'a' }), filler: 'x'.repeat(100_000_000) })}\n${JSON.stringify(event({ at: '02.000', name: 'b' }))}`,
  )
  expect(shown(await itemsOf([path]))).toEqual(['01.000 ADDED a', '02.000 ADDED b'])
})

test('a file that is not there is an error that names it', async () => {
  await expect(readRecording([join(folder, 'none.jsonl')], Readable.from(['']))).rejects.toThrow(FileError)
  await expect(readRecording([folder], Readable.from(['']))).rejects.toMatchObject({ code: 'CANNOT_READ' })
})

test('an import that ends before it reads leaves no stream that fails when its file is gone', async () => {
  const uncaught: unknown[] = []
  const note = (error: unknown): number => uncaught.push(error)
  process.on('uncaughtException', note)
  try {
    const path = write('gone.jsonl', lines(event({ at: '01.000' })))
    await readRecording([path], Readable.from(['']))
    rmSync(path)
    // Opened after the other would have been, and failed by the same rule.
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off('uncaughtException', note)
  }
  expect(uncaught).toEqual([])
})

describe('a small gzip file that unpacks to much', () => {
  test('of lines that are no events is given up', async () => {
    const path = write('bad.jsonl.gz', gzipSync('a: |\n' + '  x\n'.repeat(2_000_000)))
    const items = await itemsOf([path])
    expect(items).toHaveLength(10_001)
    expect(shown(items.slice(-1))).toEqual([
      '10001: more than 10000 lines, and most, are no watch events: the rest of the file is not read',
    ])
  })

  test('of events with as many other lines between them is read to its end', async () => {
    const line = lines(event({ at: '01.000' }))
    const path = write('half.jsonl.gz', gzipSync(`${line}warning\n`.repeat(11_000)))
    expect(await itemsOf([path])).toHaveLength(22_000)
  })

  test('of lines of a document that does not end is given up', async () => {
    const path = write('open.jsonl.gz', gzipSync(`{\n${'\n'.repeat(1_000_001)}`))
    expect(shown(await itemsOf([path]))).toEqual(['1: the document is longer than 1000000 lines'])
  })

  test.each([
    [
      'values',
      `{"type":"ADDED","object":{"kind":"Node","metadata":{"name":"a"},"x":[${'{},'.repeat(900_000)}0]}}\n`,
      9,
    ],
    ['items', '{"type":"ADDED","object":{"kind":"Pod"}}\n', 1_000_001],
  ])('of %s without times is refused', async (_, line, count) => {
    const path = write('much.jsonl.gz', gzipSync(line.repeat(count)))
    await expect(itemsOf([path])).rejects.toMatchObject({
      code: 'CANNOT_READ',
      message: expect.stringContaining('split the files by time'),
    })
  })
})
