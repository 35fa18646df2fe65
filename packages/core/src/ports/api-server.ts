import type { JsonObject, ObjectKind } from '../model/kubernetes-object.js'
import type { LogEntry } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'

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

/** What is written to an API server: Events, and nothing else. */
export interface ApiWriter {
  /**
   * Resolves with the answer's status, and rejects as `ApiServer.get`. It does not wait for the limit of requests. It may be sent twice
   * where a connection breaks, so that the object has to have a name.
   */
  write(request: ApiWrite, signal: AbortSignal): Promise<ApiWritten>
}

export interface ApiWritten {
  readonly status: number
  /** What the server says of a refusal; empty: nothing. */
  readonly message: string
}

export interface ApiWrite {
  /** `PATCH`: a strategic merge patch. */
  readonly method: 'POST' | 'PATCH'
  readonly path: string
  readonly body: JsonObject
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

/** What a live source says, in the order in which it happened. */
export type SourceItem =
  | { readonly type: 'event'; readonly event: WatchEvent }
  /** Something that the log has to tell: a watch was lost, everything was listed again. */
  | { readonly type: 'notice'; readonly notice: Extract<LogEntry, { type: 'notice' }> }
  | { readonly type: 'status'; readonly status: WatchStatus }

/** How the watch of one kind is. Times in milliseconds since 1970 UTC. */
export interface WatchStatus {
  readonly kind: ObjectKind
  /**
   * `connecting`: nothing has been heard in this attempt yet. `listing`: what there is is being received. `watching`: changes
   * come as they happen. `lost`: the next attempt is waited for.
   */
  readonly phase: 'connecting' | 'listing' | 'watching' | 'lost'
  /** When the server last said something of this kind; absent: never. */
  readonly heardAt?: number
  /** Why the watch is lost. */
  readonly error?: { readonly code: string; readonly message: string }
  /** When the next attempt is made, if the watch is lost. */
  readonly retryAt?: number
}
