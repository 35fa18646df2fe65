import { shortList } from '../model/language.js'
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
  /** A digest of the objects that the state is made from, as `StateFold.objects` has it; absent: it is not known which. */
  readonly objects?: string | undefined
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
  /** Changes whenever the kernel's rules do, whoever changes them; opaque. Absent: what is in force is not known for certain. */
  readonly mark?: string
  /**
   * Service ports that keep the rules that they had; all others have those of the state. A service port stays listed, also by
   * runs that do not name it, until a run that names it (or `all`) programs it or finds it gone.
   */
  readonly refused: readonly RefusedService[]
}

/** A service port whose rules cannot be planned, or are rejected by the rule system. */
export interface RefusedService {
  readonly owner: ServicePortName
  readonly error: Error
}

/** What a backend finds in force, read back and not remembered. */
export interface BackendContents {
  readonly rules: number
  readonly digest: string
}

/**
 * Brings a state into force. Idempotent: the same request twice leaves what one leaves. A service port whose rules are
 * refused holds up no other and is no rejection: the result lists it. A rejection means doubt: nothing, a part or all may be
 * in force; the next request then says `all`, or carries everything since the last success. Calls never overlap.
 * `testing/backend-contract.ts` is this text as tests.
 */
export interface Backend {
  readonly name: string
  /** Whether `state.serviceCidrs` has a part in what is in force: a change of them is then a sync of `all`. Default: it has none. */
  readonly usesServiceCidrs?: boolean | undefined
  sync(request: SyncRequest, signal: AbortSignal): Promise<SyncResult>
  read(): Promise<BackendContents>
  /** Removes everything that this backend ever wrote, and nothing else. */
  cleanup(): Promise<void>
  close(): Promise<void>
}

/** What can go wrong with a sync of any backend. A code is a contract: codes are added, not renamed. */
export const BACKEND_ERRORS = {
  SERVICES_REFUSED:
    'the rules of these service ports cannot be planned, or the rule system rejects them: their previous rules stay in place; all other service ports are up to date',
} as const

/** For callers to whom a sync that leaves out service ports is a failure, as for a command that syncs once. */
export class ServicesRefusedError extends Error {
  override readonly name = 'ServicesRefusedError'
  readonly code = 'SERVICES_REFUSED'
  readonly services: readonly RefusedService[]

  constructor(services: readonly RefusedService[]) {
    const named = shortList(
      services.map(({ owner }) => owner),
      MAX_NAMED,
    )
    super(`${BACKEND_ERRORS.SERVICES_REFUSED}: ${named}; ${services[0]?.error.message ?? ''}`, {
      cause: services[0]?.error,
    })
    this.services = services
  }
}

const MAX_NAMED = 20
