import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { ServerResponse } from 'node:http'
import type { JsonObject } from '../../model/kubernetes-object.js'
import type { StatusBody } from './status-body.js'

/** A body up to this size has a length; a larger one comes in a chunk. */
const LARGEST_WITH_LENGTH = 2048

export interface AnswerHead {
  readonly code: number
  readonly headers?: Readonly<Record<string, string>>
  /** Absent: the answer comes in chunks. */
  readonly length?: number
}

/** Writes the head with the headers of an API server, in its order. */
export function writeHead(response: ServerResponse, { code, headers = {}, length }: AnswerHead): void {
  // Node says that it keeps the connection; Go's server does so without a word.
  response.removeHeader('Connection')
  response.sendDate = false
  const all = {
    'Audit-Id': randomUUID(),
    'Cache-Control': 'no-cache, private',
    'Content-Type': 'application/json',
    ...headers,
    // A request that is not let in is in nobody's queue.
    ...(code !== 401 && {
      'X-Kubernetes-Pf-Flowschema-Uid': '00000000-0000-4000-9000-000000000001',
      'X-Kubernetes-Pf-Prioritylevel-Uid': '00000000-0000-4000-9000-000000000002',
    }),
    Date: new Date().toUTCString(),
    ...(length !== undefined && { 'Content-Length': String(length) }),
  }
  response.writeHead(code, all)
}

/** How a list's body is to come. */
export interface BodyFaults {
  readonly slow?: { readonly bytes: number; readonly pauseMs: number }
  readonly truncatedAt?: number
}

/** `pretty`: for people, as curl gets it; indented and without a newline at its end. */
export async function answerJson(
  response: ServerResponse,
  value: JsonObject,
  { code = 200, pretty, faults = {}, headers = {} }: AnswerOptions,
): Promise<void> {
  const body = Buffer.from(pretty ? JSON.stringify(value, undefined, 2) : `${JSON.stringify(value)}\n`)
  writeHead(response, { code, headers, ...(body.length <= LARGEST_WITH_LENGTH && { length: body.length }) })
  if (faults.truncatedAt !== undefined) {
    response.write(body.subarray(0, Math.min(faults.truncatedAt, body.length - 1)))
    response.socket?.end()
    return
  }
  if (faults.slow !== undefined) {
    const { bytes, pauseMs } = faults.slow
    for (let start = 0; start < body.length && !response.destroyed; start += bytes) {
      response.write(body.subarray(start, start + bytes))
      await pause(pauseMs)
    }
    response.end()
    return
  }
  // Apart, so that it is a chunk of its own, as Go's server makes it.
  if (body.length > LARGEST_WITH_LENGTH) response.write(body)
  response.end(body.length > LARGEST_WITH_LENGTH ? undefined : body)
}

export interface AnswerOptions {
  readonly code?: number
  readonly pretty: boolean
  readonly faults?: BodyFaults
  readonly headers?: Readonly<Record<string, string>>
}

export const answerStatus = (
  response: ServerResponse,
  { code, body, retryAfterSeconds }: StatusBody,
  options: { readonly pretty: boolean },
): Promise<void> =>
  answerJson(response, body, {
    ...options,
    code,
    headers: retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) },
  })

/** Sends bytes as they are, head and all, and ends the connection with them. Each piece arrives by itself. */
export async function replayAnswer(
  response: ServerResponse,
  { answer, cuts = [] }: { readonly answer: Uint8Array; readonly cuts?: readonly number[] },
): Promise<void> {
  const { socket } = response
  if (socket === null) return
  socket.setNoDelay(true)
  const ends = [...cuts.filter((cut) => cut > 0 && cut < answer.length).toSorted((a, b) => a - b), answer.length]
  let start = 0
  for (const end of ends) {
    if (socket.destroyed) return
    await new Promise<void>((resolve) => socket.write(answer.subarray(start, end), () => resolve()))
    // Each TLS record is read by itself when the reader has had its turn.
    await pause(1)
    start = end
  }
  socket.end()
}
