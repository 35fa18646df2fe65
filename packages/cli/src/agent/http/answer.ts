import { escapeControls } from '@pointsman/core'

/** What a handler is told of a request. */
export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** The address that the request came from. */
  readonly peer: string
  /** The first kilobyte of its body. */
  readonly body: () => Promise<string>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Handler = (request: HttpRequest) => Answer | Promise<Answer>

/** Headers are those that Go's HTTP server sends with its own texts. */
export const textAnswer = (status: number, body: string): Answer => ({
  status,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' },
  body: shown(body),
})

/** `indent` as of JSON.stringify. */
export const jsonAnswer = (status: number, body: unknown, indent?: string): Answer => ({
  status,
  headers: { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' },
  body: shown(JSON.stringify(body, null, indent)),
})

// Answers end up on terminals too, where `curl` prints them; a value's own line feeds are its writer's to escape. kube-proxy indents
// with tabs.
const shown = (body: string): string => body.replaceAll(/[^\n\t]+/g, escapeControls)

export const NOT_FOUND: Answer = textAnswer(404, '404 page not found\n')
