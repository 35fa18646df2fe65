import type { ServicePortName } from '../model/names.js'
import type { Seq } from '../model/record.js'
import type { State } from '../state/state.js'

/** What one run is asked to bring about. `state` is not changed while the run lasts. */
export interface SyncRequest {
  readonly state: State
  /** Service ports that differ from the last successful run, gone ones included. `all`: trust nothing that was there. */
  readonly changed: ReadonlySet<ServicePortName> | 'all'
  /** The first and last watch-event record since the last successful run. */
  readonly fromSeq: Seq
  readonly toSeq: Seq
}

export interface SyncResult {
  /** Whether everything was written, or only a difference. */
  readonly full: boolean
  /** Rules in force after the run. */
  readonly rules: number
  /** Bytes sent to bring them about. */
  readonly bytes: number
  /** Of what is in force after the run: equal states and configurations give equal digests. */
  readonly digest: string
}

/** What a backend finds in force, read back and not remembered. */
export interface BackendContents {
  readonly rules: number
  readonly digest: string
}

/**
 * Brings a state into force. Idempotent: the same request twice leaves what one leaves. A rejection means doubt: nothing,
 * a part or all may be in force; the next request then says `all`, or carries everything since the last success. Calls
 * never overlap. `testing/backend-contract.ts` is this text as tests.
 */
export interface Backend {
  readonly name: string
  sync(request: SyncRequest, signal: AbortSignal): Promise<SyncResult>
  read(): Promise<BackendContents>
  /** Removes everything that this backend ever wrote, and nothing else. */
  cleanup(): Promise<void>
  close(): Promise<void>
}
