import { connect } from 'node:tls'

export interface RawRequest {
  readonly port: number
  /** PEM of the authority that is trusted. */
  readonly ca: string
  readonly token: string
  /** With the query. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A request as curl makes it, and all bytes that come back until the server ends the connection or the answer is whole. */
export function exchangeRaw({ port, ca, token, target, headers = {} }: RawRequest): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca })
    let received = Buffer.alloc(0)
    const all = { Host: `127.0.0.1:${port}`, 'User-Agent': 'curl/8.5.0', Authorization: `Bearer ${token}`, ...headers }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
    socket.write([`GET ${target} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
    socket.on('error', reject)
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      if (isWhole(received)) socket.end()
    })
    socket.on('close', () => resolve(received))
  })
}

/** One answer, taken apart. */
export interface RawAnswer {
  readonly statusLine: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Absent: the body had a length. */
  readonly chunkSizes?: readonly number[]
  readonly body: Buffer
}

export function parseRawAnswer(bytes: Uint8Array): RawAnswer {
  const all = Buffer.from(bytes)
  const end = all.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = all.subarray(0, end).toString('latin1').split('\r\n')
  const headers = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(': ')
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
  const rest = all.subarray(end + 4)
  const isChunked = headers.some(([name, value]) => name === 'Transfer-Encoding' && value === 'chunked')
  if (!isChunked) return { statusLine, headers, body: rest }
  const chunks = [...chunksOf(rest)]
  return { statusLine, headers, chunkSizes: chunks.map(({ length }) => length), body: Buffer.concat(chunks) }
}

function* chunksOf(bytes: Buffer): Iterable<Buffer> {
  let at = 0
  while (at < bytes.length) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16)
    if (lineEnd < 0 || !(size > 0)) return
    yield bytes.subarray(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
}

function isWhole(bytes: Buffer): boolean {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return false
  const head = bytes.subarray(0, end).toString('latin1')
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  return length === undefined
    ? bytes.subarray(-7).toString('latin1').endsWith('\r\n0\r\n\r\n')
    : bytes.length >= end + 4 + Number(length)
}
