import { request } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import type { JsonObject } from '../../model/kubernetes-object.js'
import type { TestApiServer } from './test-api-server.js'

/** A plain reader of a test server, for tests of the server itself. */
export interface TestAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** What has come of the body so far. */
  readonly text: () => string
  /** The lines that came whole, as JSON. */
  readonly lines: () => readonly WatchLine[]
  /** Resolves when so many lines were received. */
  readonly received: (count: number) => Promise<readonly WatchLine[]>
  /** How the body ended: `whole`, or the error's code. */
  readonly ended: Promise<string>
  readonly close: () => void
}

export interface WatchLine {
  readonly type: string
  readonly object: JsonObject & { readonly metadata: JsonObject }
}

export type Credentials = { readonly token: string } | { readonly cert: string; readonly key: string }

/** Resolves with the head of an answer; rejects where there is none. */
export function askServer(
  server: TestApiServer,
  target: string,
  credentials: Credentials = { token: server.token },
): Promise<TestAnswer> {
  const { token, ...tls } = { token: undefined, ...credentials }
  return new Promise((resolve, reject) => {
    const sent = request(
      `${server.url}${target}`,
      {
        ca: server.authority.certificate,
        agent: false,
        ...tls,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      },
      (response) => {
        let bytes = Buffer.alloc(0)
        const text = (): string => bytes.toString('utf8')
        const lines = (): readonly WatchLine[] =>
          text()
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as WatchLine)
        const ended = new Promise<string>((end) => {
          response.on('end', () => end('whole'))
          const fail = (error: NodeJS.ErrnoException): void => end(error.code ?? error.message)
          response.on('error', fail)
          sent.on('error', fail)
        })
        response.on('data', (part: Buffer) => {
          bytes = Buffer.concat([bytes, part])
        })
        const received = async (count: number): Promise<readonly WatchLine[]> => {
          while (text().split('\n').length <= count) {
            await new Promise((next) => response.once('data', next).once('close', next))
            if (response.closed) break
          }
          return lines()
        }
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, text, lines, received, ended, close: () => sent.destroy() })
      },
    )
    sent.on('error', reject).end()
  })
}

/** The whole answer, its body as JSON. */
export async function askJson(
  server: TestApiServer,
  target: string,
  credentials?: Credentials,
): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: JsonObject }> {
  const answer = await askServer(server, target, credentials)
  const ended = await answer.ended
  if (ended !== 'whole') throw new Error(ended)
  return { status: answer.status, headers: answer.headers, body: JSON.parse(answer.text()) as JsonObject }
}
