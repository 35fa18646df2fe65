import type {
  ChangingProcess,
  Confirmation,
  ConntrackReport,
  EngineReport,
  FamilyDrift,
  FamilySyncReport,
  Listening,
  LogHealth,
  NodeInfo,
  ObjectKind,
  Seq,
  ServiceName,
  State,
  WatchEvent,
  WatchStatus,
} from '@pointsman/core'
import type { HeldPortsReport } from './held-ports.js'
import type { Observation } from './observe/observe-rules.js'

/** What happens in an agent. Metrics, health and the text log receive each, and know nothing else of it. */
export type AgentEvent =
  /** The first: the agent has begun. What it has from a log is as of the log's last record, until the watches say more. */
  | { readonly type: 'start'; readonly at: number; readonly fromLog?: LogStart }
  /** The rule system is open: from now on rules are written, or an observer compares them. */
  | { readonly type: 'opened'; readonly at: number }
  /** Before anything was synced: the rules in force are those that the logged state wants. */
  | {
      readonly type: 'confirmed'
      readonly at: number
      readonly seq: Seq
      readonly node: NodeInfo | undefined
      readonly by: Confirmation
    }
  /** On its way to the rules. `at`: when it was recorded. */
  | { readonly type: 'event'; readonly seq: Seq; readonly event: WatchEvent; readonly at: number }
  | { readonly type: 'engine'; readonly report: EngineReport; readonly state: State }
  /** One family's part of a sync. */
  | { readonly type: 'family'; readonly report: FamilySyncReport }
  | { readonly type: 'conntrack'; readonly report: ConntrackReport }
  /** `at`: when it was said, in milliseconds since 1970 UTC. */
  | { readonly type: 'watch'; readonly status: WatchStatus; readonly at: number }
  | { readonly type: 'log'; readonly health: LogHealth }
  /** Ports are held open otherwise than before. */
  | { readonly type: 'ports'; readonly report: HeldPortsReport }
  /** The tables were compared with what was put there. */
  | {
      readonly type: 'drift'
      readonly drifts: readonly FamilyDrift[]
      readonly at: number
      /** Other processes that changed tables since the comparison before, where the kernel reports them. Default: none. */
      readonly by?: readonly ChangingProcess[]
      /** Absent: the tables could be compared, and what differed was put right. */
      readonly error?: unknown
      /** For how long what asked for the comparison had waited for the one before and the pause after it. Default: 0. */
      readonly waitedMs?: number
    }
  /** An observer has compared the rules, or time alone says something of them. */
  | { readonly type: 'observed'; readonly observation: Observation }
  /** Whether the watch of the tables hears of changes, when that changed. */
  | { readonly type: 'listening'; readonly listening: Listening }
  /** An object, or a change of one, that is not used: its last version counts on. `at`: when that was found. */
  | { readonly type: 'unusable'; readonly kind: ObjectKind; readonly message: string; readonly at: number }
  /** A kind that the rules can do without: the server does not have it, or not for this user. */
  | { readonly type: 'unavailable'; readonly kind: ObjectKind; readonly message: string; readonly at: number }
  | { readonly type: 'request'; readonly request: ApiRequestReport }
  /** A port that the agent cannot listen on, and does not try again by itself. `error`: the cause alone. */
  | { readonly type: 'unserved'; readonly port: UnservedPort; readonly error: string; readonly at: number }
  /** The health server answered a request with this status. */
  | { readonly type: 'probe'; readonly path: 'healthz' | 'livez'; readonly status: 200 | 503 }

/** `service`: a health-check node port, tried again after each sync. The others end the agent (bindAddressHardFail). */
export type UnservedPort =
  | { readonly type: 'health' | 'metrics' }
  | { readonly type: 'service'; readonly service: ServiceName; readonly port: number }

/** What an agent that starts has from its log. */
export interface LogStart {
  /** The last watch event in it. */
  readonly seq: Seq
  /** When the log's last record was observed, in milliseconds since 1970 UTC: how old its state is. */
  readonly at: number
  /** The machine has been started since: pod addresses may belong to others. */
  readonly rebooted: boolean
}

/** One request to the API server, ended: `code` is the status, or `<error>` where no answer came. */
export interface ApiRequestReport {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** Host and port. */
  readonly host: string
  readonly code: string
  readonly durationMs: number
}
