/** A Kubernetes API server, as far as a reader of it needs one: requests that change nothing. */
export interface ApiServer {
  /** Scheme, host and port, for messages: `https://10.0.0.1:6443`. */
  readonly url: string
  /**
   * Resolves with the head of the answer, whatever its status; the body comes as it arrives, and an iteration that is ended
   * early closes the connection. Rejects with an ApiServerError when there is no answer, and with the signal's reason when it
   * is aborted; the body's iteration rejects likewise.
   */
  get(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>
  close(): Promise<void>
}

export interface ApiRequest {
  /** Without the query: `/api/v1/services`. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
}

export interface ApiAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: AsyncIterable<Uint8Array>
}
