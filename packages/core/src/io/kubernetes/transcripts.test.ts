import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ApiAnswer, ApiServer, SourceItem } from '../../ports/api-server.js'
import { VirtualClock } from '../../pipeline/replay.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource, type KubernetesSourceOptions } from './kubernetes-source.js'

/** What a real API server answered, without the framing of HTTP. */
function transcript(name: string): Pick<ApiAnswer, 'status' | 'headers'> & { readonly bytes: Buffer } {
  const file = readFileSync(join(import.meta.dirname, '../../../../../fixtures/wire', `${name}.http`))
  const headEnd = file.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = file.subarray(0, headEnd).toString().split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const body = file.subarray(headEnd + 4)
  const bytes = headers['transfer-encoding'] === 'chunked' ? withoutChunks(body) : body
  return { status: Number(statusLine.split(' ')[1]), headers, bytes }
}

function withoutChunks(body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let start = 0; start < body.length;) {
    const lineEnd = body.indexOf('\r\n', start)
    const length = Number.parseInt(body.subarray(start, lineEnd).toString(), 16)
    if (length === 0) break
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + length))
    start = lineEnd + 2 + length + 2
  }
  return Buffer.concat(parts)
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length
    yield await Promise.resolve(bytes.subarray(start, start + size))
    start += size
  }
}

interface Play {
  readonly path: string
  /** In turn; then there is no server. */
  readonly answers: readonly string[]
  readonly sizes?: readonly number[]
  readonly options?: Partial<KubernetesSourceOptions>
}

/** What a source makes of transcripts in place of a server, and what it asked for. */
async function play({ path, answers, sizes = [], options = {} }: Play): Promise<{
  readonly said: readonly string[]
  readonly queries: readonly string[]
}> {
  const clock = new VirtualClock(0)
  const left = [...answers]
  const queries: string[] = []
  const api: ApiServer = {
    url: 'https://transcripts.test',
    close: () => Promise.resolve(),
    async get(request) {
      if (request.path !== path) throw new Error('not this one')
      const { limit, watch, continue: token, resourceVersion, sendInitialEvents } = request.query
      // A server that does not answer checks of its history is asked for the watch.
      if (request.query['resourceVersionMatch'] === 'Exact')
        return { status: 404, headers: {}, body: inPieces(Buffer.alloc(0), []) }
      queries.push(JSON.stringify({ limit, watch, continue: token, resourceVersion, sendInitialEvents }))
      const name = left.shift()
      if (name === undefined) throw new Error('no more')
      const { bytes, ...head } = transcript(name)
      return Promise.resolve({ ...head, body: inPieces(bytes, sizes) })
    },
  }
  const items: SourceItem[] = []
  const subscription = kubernetesSource({
    api,
    known: createKnownObjects(),
    scheduler: clock,
    random: () => 0.5,
    ...options,
  }).subscribe((item) => items.push(item))
  for (let round = 0; round < 20 && left.length > 0; round++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    void clock.advanceTo(clock.now() + 1000)
  }
  await new Promise<void>((resolve) => setImmediate(resolve))
  subscription.unsubscribe()
  return { said: items.flatMap(shown), queries }
}

function shown(item: SourceItem): readonly string[] {
  if (item.type === 'event' && item.event.type === 'BOOKMARK')
    return [`${item.event.initialEventsEnd ? 'END' : 'BOOKMARK'} ${item.event.resourceVersion}`]
  if (item.type === 'event' && item.event.type !== 'BOOKMARK') {
    const { type, object } = item.event
    return [`${type} ${object.metadata.name} ${JSON.stringify(object.metadata['resourceVersion'])}`]
  }
  const error = item.type === 'status' ? item.status.error : undefined
  return error !== undefined && error.code !== 'NO_ANSWER' ? [error.message] : []
}

const SERVICES = '/api/v1/services'
const SLICES = '/apis/discovery.k8s.io/v1/endpointslices'

test('the pages of a list become one list', async () => {
  const { said, queries } = await play({
    path: SERVICES,
    answers: ['list-services-page1', 'list-services-page2', 'list-services-page3'],
    options: { streamingLists: false, pageSize: 4 },
  })
  expect(said).toHaveLength(11)
  expect(said[0]).toBe('ADDED kubernetes "68"')
  expect(said.at(-1)).toBe('END 113')
  expect(queries).toEqual([
    '{"limit":"4"}',
    '{"limit":"4","continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTEzLCJzdGFydCI6Ii9kZXBvdC9kb2NrXHUwMDAwIn0"}',
    '{"limit":"4","continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTEzLCJzdGFydCI6Ii9kZXBvdC9yb3V0ZXNcdTAwMDAifQ"}',
    '{"watch":"1","resourceVersion":"113"}',
  ])
})

test('a streaming list gives the same objects as the pages, wherever its bytes are cut', async () => {
  const options = { streamingLists: false, pageSize: 4 }
  const pages = await play({
    path: SERVICES,
    answers: ['list-services-page1', 'list-services-page2', 'list-services-page3'],
    options,
  })
  const objects = (said: readonly string[]): readonly string[] => said.filter((line) => !line.startsWith('END'))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }), async (sizes) => {
      const stream = await play({ path: SERVICES, answers: ['watchlist-services'], sizes })
      expect(objects(stream.said).toSorted()).toEqual(objects(pages.said).toSorted())
      expect(stream.said.filter((line) => line.startsWith('END'))).toHaveLength(1)
    }),
    { numRuns: 30 },
  )
})

test('a watch goes on where a log ends', async () => {
  const { said, queries } = await play({
    path: SLICES,
    answers: ['watch-endpointslices-from-rv'],
    options: { resume: { EndpointSlice: { resourceVersion: '101' } } },
  })
  expect(said[0]).toBe('MODIFIED orders-a1b2c "102"')
  expect(queries[0]).toBe('{"watch":"1","resourceVersion":"101"}')
  expect(said.length).toBeGreaterThan(8)
})

test('what a real server says of a past that it forgot leads to a list', async () => {
  const { said, queries } = await play({
    path: SERVICES,
    answers: ['watch-too-old', 'watchlist-services'],
    options: { resume: { Service: { resourceVersion: '1' } } },
  })
  expect(said[0]).toMatch(
    /^the requested resourceVersion is too old .* \(410 Expired too old resource version: 1 \(5\)\)$/,
  )
  expect(queries.slice(0, 2)).toEqual([
    '{"watch":"1","resourceVersion":"1"}',
    '{"watch":"1","resourceVersion":"1","sendInitialEvents":"true"}',
  ])
})

test('what a real server says of a future that it does not know is waited out, then given up', async () => {
  const { said, queries } = await play({
    path: SERVICES,
    answers: ['watch-too-old', 'list-future-rv', 'list-future-rv', 'list-future-rv', 'watchlist-services'],
    options: { resume: { Service: { resourceVersion: '999999999' } } },
  })
  expect(said.filter((line) => line.includes('Too large resource version'))).toHaveLength(3)
  expect(queries.slice(0, 5).at(-1)).toBe('{"watch":"1","sendInitialEvents":"true"}')
  expect(said).toContainEqual(expect.stringMatching(/^END /))
})

test('a wrong token is named, with what to do', async () => {
  const { said } = await play({ path: SERVICES, answers: ['unauthorized'] })
  expect(said).toEqual([
    'the server rejected the credentials: renew the token or the certificate in the kubeconfig (401 Unauthorized Unauthorized)',
  ])
})
