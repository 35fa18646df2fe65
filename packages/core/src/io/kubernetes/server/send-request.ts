import { request as requestHttp, type Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { TLSSocket } from 'node:tls'
import { codeOf } from '../../../model/language.js'
import { printable } from '../../../model/shown-text.js'
import type { ApiAnswer, ApiRequest, ApiWrite } from '../../../ports/api-server.js'
import { ApiServerError, type ApiServerErrorCode } from './server-settings.js'

export interface RequestTimeouts {
  /** Until there is a connection, TLS included. */
  readonly connectMs: number
  /** From there until the head of the answer. */
  readonly headMs: number
}

export interface SentRequest {
  readonly url: URL
  readonly request: ApiRequest | ApiWrite
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly agent: Agent
  readonly timeouts: RequestTimeouts
  readonly signal: AbortSignal
  /** Nothing more comes: the body ended, or failed, or was given up. Called once, also when no answer came. */
  readonly onEnd: () => void
  /** The connection failed within the body. */
  readonly onBroken?: () => void
}

/** `stale`: a kept connection was used, and the server had ended it meanwhile: asking again helps. */
export type SendOutcome =
  | { readonly type: 'answer'; readonly answer: ApiAnswer }
  | { readonly type: 'failed'; readonly error: ApiServerError; readonly stale: boolean }

/** One request, once. Rejects with the signal's reason when it is aborted, and the body's iteration likewise. */
export function sendRequest(sent: SentRequest): Promise<SendOutcome> {
  const { url, signal, timeouts, onEnd } = sent
  const subject = url.origin
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      onEnd()
      return reject(reasonOf(signal))
    }
    const request = open(sent)
    let connected = false
    let settled = false
    let late: ApiServerError | undefined
    let failure: unknown

    const after = (ms: number, what: string): NodeJS.Timeout =>
      setTimeout(() => {
        late = new ApiServerError('TIMED_OUT', { subject, detail: `${what} within ${ms / 1000} s` })
        giveUp(late)
      }, ms)
    let timer = after(timeouts.connectMs, 'no connection')
    // Without the reason: where the whole answer has come and is not read yet, nobody would listen to the socket's error, and
    // the process would end of it.
    const abort = (): void => giveUp()
    const giveUp = (error?: ApiServerError): void => {
      request.destroy(error)
      // A request whose connection is still being made, through a proxy say, ends only when that does.
      if (settled) return
      fail(toError(error))
      end()
    }
    const toError = (cause: unknown): Error =>
      signal.aborted ? reasonOf(signal) : (late ?? toApiServerError(failure ?? cause, { subject, connected }))
    const fail = (told: Error): void => {
      settled = true
      if (!(told instanceof ApiServerError) || signal.aborted) return reject(told)
      resolve({ type: 'failed', error: told, stale: request.reusedSocket && told.code === 'CONNECTION_LOST' })
    }
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      onEnd()
    }

    signal.addEventListener('abort', abort)
    whenConnected(request, () => {
      connected = true
      clearTimeout(timer)
      timer = after(timeouts.headMs, 'no answer')
    })
    request.once('response', (response) => {
      clearTimeout(timer)
      const strange = strangeness(response, sent.request)
      if (strange !== undefined) {
        fail(new ApiServerError('BAD_ANSWER', { subject, detail: strange }))
        request.destroy()
        return end()
      }
      settled = true
      response.once('close', end)
      resolve({
        type: 'answer',
        answer: answerOf(response, { toError, signal, onBroken: sent.onBroken ?? (() => undefined) }),
      })
    })
    // 101: nobody asked for another protocol. Without a listener Node closes the connection, and says no more.
    request.once('upgrade', (response, socket) => {
      fail(new ApiServerError('BAD_ANSWER', { subject, detail: `it answers ${response.statusCode}` }))
      socket.destroy()
      end()
    })
    request.once('close', () => {
      if (settled) return
      fail(toError(new Error('the connection was closed without a response')))
      end()
    })
    // After the head, this is a body that is no HTTP; its reader gets the error.
    request.on('error', (error) => {
      failure = error
      if (settled) return
      fail(toError(error))
      end()
    })
    request.end('body' in sent.request ? JSON.stringify(sent.request.body) : undefined)
  })
}

function open({ url, request: asked, headers, agent }: SentRequest): ClientRequest {
  const { path } = asked
  const search = 'query' in asked ? new URLSearchParams(asked.query).toString() : ''
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? undefined : Number(url.port),
    path: `${url.pathname.replace(/\/$/, '')}${path}${search === '' ? '' : `?${search}`}`,
    ...('method' in asked && { method: asked.method }),
    headers: 'method' in asked ? { ...headers, 'Content-Type': CONTENT_TYPES[asked.method] } : headers,
    agent,
  }
  return url.protocol === 'http:' ? requestHttp(options) : requestHttps(options)
}

const CONTENT_TYPES = { POST: 'application/json', PATCH: 'application/strategic-merge-patch+json' } as const

/** What no API server answers a list, a watch or a write with; undefined: nothing is wrong with the head. A refusal (from 400 on) may be of any form. */
function strangeness({ statusCode = 0, headers }: IncomingMessage, asked: SentRequest['request']): string | undefined {
  if (statusCode >= 400) return undefined
  const { location, 'content-type': type, 'content-encoding': encoding = 'identity' } = headers
  if (statusCode !== 200 && !('method' in asked && statusCode === 201))
    return `it answers ${statusCode}${location === undefined ? '' : `, and names ${printable(location)}: redirects are not followed`}`
  // None was asked for.
  if (encoding !== 'identity') return `unsupported Content-Encoding ${printable(encoding)}`
  if (type === undefined || /^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) return undefined
  return `Content-Type ${printable(type)} instead of JSON`
}

function whenConnected(request: ClientRequest, then: () => void): void {
  request.once('socket', (socket) => {
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    if (request.reusedSocket) then()
    else socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', then)
  })
}

/**
 * A connection whose other side is gone without a word: the kernel asks after so long a silence, and gives up ten seconds later, as
 * libuv sets it (TCP_KEEPINTVL 1, TCP_KEEPCNT 10). The other kernel answers; the server is asked nothing.
 */
const KEEP_ALIVE_MS = 4000

interface Reading {
  readonly onBroken: () => void
  readonly toError: (cause: unknown) => Error
  readonly signal: AbortSignal
}

function answerOf(response: IncomingMessage, reading: Reading): ApiAnswer {
  const headers = Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')] as const)
  return { status: response.statusCode ?? 0, headers: Object.fromEntries(headers), body: bodyOf(response, reading) }
}

/** No generator: one that was never asked would not hear that nobody wants it. */
function bodyOf(response: IncomingMessage, { toError, signal, onBroken }: Reading): AsyncIterable<Uint8Array> {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        const next = await chunks.next()
        // What was given up ends like this, also where all of it had come.
        if (!signal.aborted) return next
      } catch (error) {
        if (!signal.aborted) onBroken()
        throw toError(error)
      }
      throw reasonOf(signal)
    },
    async return() {
      response.destroy()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

const reasonOf = ({ reason }: AbortSignal): Error =>
  reason instanceof Error ? reason : new Error(String(reason), { cause: reason })

/** What Node reported of a connection, as an ApiServerError. `connected`: whether there was one, TLS included. */
function toApiServerError(
  cause: unknown,
  { subject, connected }: { readonly subject: string; readonly connected: boolean },
): ApiServerError {
  if (cause instanceof ApiServerError) return cause
  const code = codeOf(cause)
  const message = cause instanceof Error && cause.message !== '' ? cause.message : code
  const detail = message.includes(code) ? message : `${code}: ${message}`
  return new ApiServerError(
    meaningOf(code, connected),
    { subject, detail: detail + adviceFor(code, message) },
    { cause },
  )
}

function meaningOf(code: string, connected: boolean): ApiServerErrorCode {
  if (code.startsWith('HPE_')) return 'BAD_ANSWER'
  if (TLS.test(code)) return 'TLS_FAILED'
  return connected ? 'CONNECTION_LOST' : 'UNREACHABLE'
}

// OpenSSL's reasons for not trusting a certificate, and its and Node's own errors: https://nodejs.org/api/tls.html#x509-certificate-error-codes.
const TLS =
  /^(?:ERR_SSL|ERR_TLS|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME_|OUT_OF_MEM)|SELF_SIGNED/

function adviceFor(code: string, message: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '; set tls-server-name to the expected name'
  return NO_TLS.test(message) ? '; the server may use plain HTTP' : ''
}

// How OpenSSL 3 and the ones before and after it say that the first bytes are no TLS record.
const NO_TLS = /wrong version number|packet length too long|record layer failure/i
