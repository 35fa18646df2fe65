import type { ConntrackReport, FamilyDrift, FamilySyncReport } from '@pointsman/backend-iptables'
import type { EngineReport, LogHealth, Seq, State, WatchEvent, WatchStatus } from '@pointsman/core'

/** What happens in an agent. Metrics, health and the text log are told each, and know nothing else of it. */
export type AgentEvent =
  /** On its way to the rules. `at`: when it was recorded. */
  | { readonly type: 'event'; readonly seq: Seq; readonly event: WatchEvent; readonly at: number }
  | { readonly type: 'engine'; readonly report: EngineReport; readonly state: State }
  /** One family's part of a sync. */
  | { readonly type: 'family'; readonly report: FamilySyncReport }
  | { readonly type: 'conntrack'; readonly report: ConntrackReport }
  | { readonly type: 'watch'; readonly status: WatchStatus }
  | { readonly type: 'log'; readonly health: LogHealth }
  /** The tables were compared with what was put there. */
  | { readonly type: 'drift'; readonly drifts: readonly FamilyDrift[]; readonly at: number }
  | { readonly type: 'request'; readonly request: ApiRequestReport }

/** One request to the API server, ended: `code` is the status, or `<error>` where no answer came. */
export interface ApiRequestReport {
  readonly method: 'GET'
  /** Host and port. */
  readonly host: string
  readonly code: string
  readonly durationMs: number
}
