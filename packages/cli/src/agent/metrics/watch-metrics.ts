import { type ObjectKind, OBJECT_KINDS, type WatchStatus } from '@pointsman/core'
import { Counter, Gauge } from 'prom-client'
import type { MetricGroup } from './metric-context.js'

/** How the watches are, and how far the rules are behind them. */
export const watchMetrics: MetricGroup = ({ registry, clock }) => {
  const registers = [registry]
  const watches = new Map<ObjectKind, WatchStatus>()
  const age: Gauge<'kind'> = new Gauge({
    name: 'pointsman_watch_age_seconds',
    help: 'How long ago the API server last said something of a kind, in seconds.',
    labelNames: ['kind'] as const,
    registers,
    collect: () => {
      for (const { kind, heardAt } of watches.values())
        if (heardAt !== undefined) age.set({ kind }, Math.max(0, clock() - heardAt) / 1000)
    },
  })
  const up = new Gauge({
    name: 'pointsman_watch_up',
    help: '1 where changes of a kind come as they happen, else 0.',
    labelNames: ['kind'] as const,
    registers,
  })
  const head = new Gauge({
    name: 'pointsman_head_seq',
    help: 'The position in the change log of the last watch event.',
    registers,
  })
  const applied = new Gauge({
    name: 'pointsman_applied_seq',
    help: 'The position in the change log of the last watch event that is in the rules.',
    registers,
  })
  const stateAge = new Gauge({
    name: 'pointsman_start_state_age_seconds',
    help: 'How old the state was that the agent began with, in seconds; 0 where it began without a log.',
    registers,
  })
  const unusable = new Counter({
    name: 'pointsman_unusable_objects_total',
    help: 'Objects, and changes of them, that could not be used; their last usable version stays in effect.',
    labelNames: ['kind'] as const,
    registers,
  })
  for (const kind of OBJECT_KINDS) {
    up.set({ kind }, 0)
    unusable.inc({ kind }, 0)
  }

  return (event) => {
    if (event.type === 'start' && event.fromLog !== undefined) {
      head.set(event.fromLog.seq)
      stateAge.set(Math.max(0, event.at - event.fromLog.at) / 1000)
    }
    if (event.type === 'unusable') unusable.inc({ kind: event.kind })
    if (event.type === 'event') head.set(event.seq)
    if (event.type === 'engine' && event.report.type === 'synced') applied.set(event.report.toSeq)
    if (event.type === 'watch') {
      const { kind, phase } = event.status
      watches.set(kind, event.status)
      up.set({ kind }, phase === 'watching' ? 1 : 0)
    }
  }
}
