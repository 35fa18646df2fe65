import {
  type FamilySyncReport,
  type IpFamily,
  type KubernetesObject,
  type ObjectKind,
  type Refusal,
  seq,
  type State,
  type WatchEvent,
  type WatchStatus,
} from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import type { AgentEvent } from '../../agent-event.js'

/** Events of an agent in few words, for folds over them. Times in milliseconds since 1970. */
export const EMPTY_STATE: State = stateOf({ ports: [] })

export interface Happening {
  readonly seq: number
  readonly at: number
}

export const changed = (
  object: KubernetesObject,
  { seq: position, at }: Happening,
  type: 'ADDED' | 'MODIFIED' | 'DELETED' = 'MODIFIED',
): AgentEvent => ({ type: 'event', seq: seq(position), event: { type, object, observedAt: at }, at })

export const listed = (kind: ObjectKind, { seq: position, at }: Happening): AgentEvent => {
  const event: WatchEvent = { type: 'BOOKMARK', kind, resourceVersion: '1', initialEventsEnd: true, observedAt: at }
  return { type: 'event', seq: seq(position), event, at }
}

export interface Run {
  readonly toSeq: number
  readonly startedAt: number
  readonly endedAt: number
  readonly state?: State
}

export const synced = (
  { toSeq, state = EMPTY_STATE, ...times }: Run,
  refused: readonly Refusal[] = [],
): AgentEvent => ({
  type: 'engine',
  report: {
    type: 'synced',
    fromSeq: seq(1),
    toSeq: seq(toSeq),
    changed: 'all',
    diagnostics: new Map(),
    result: {
      full: true,
      rules: 1,
      bytes: 1,
      digest: '',
      refused: refused.map(({ owner, error }) => ({ owner, error })),
    },
    refusals: { current: refused, begun: [], ended: [] },
    ...times,
  },
  state,
})

export const failed = (
  { toSeq, state = EMPTY_STATE, ...times }: Run,
  error: unknown = new Error('the tables are locked'),
): AgentEvent => ({
  type: 'engine',
  report: {
    type: 'failed',
    fromSeq: seq(1),
    toSeq: seq(toSeq),
    changed: 'all',
    diagnostics: new Map(),
    error,
    ...times,
  },
  state,
})

export const family = (name: IpFamily, report: Partial<FamilySyncReport> = {}): AgentEvent => ({
  type: 'family',
  report: {
    family: name,
    full: true,
    durationMs: 10,
    restores: 1,
    bytes: 100,
    failures: 0,
    tables: {
      mangle: { rules: 0, written: 0 },
      filter: { rules: 4, written: 2 },
      nat: { rules: 40, written: 20 },
    },
    ...report,
  },
})

export const watch = (
  kind: ObjectKind,
  phase: WatchStatus['phase'],
  rest: Omit<WatchStatus, 'kind' | 'phase'> = {},
): AgentEvent => ({ type: 'watch', status: { kind, phase, ...rest }, at: 0 })
