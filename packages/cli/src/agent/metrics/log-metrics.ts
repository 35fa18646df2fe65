import type { LogHealth } from '@pointsman/core'
import { Counter, Gauge } from 'prom-client'
import type { MetricGroup } from './metric-context.js'

/** How the change log is: whatever it is, the rules are kept right. */
export const logMetrics: MetricGroup = ({ registry }) => {
  const registers = [registry]
  const degraded = new Gauge({
    name: 'pointsman_log_degraded',
    help: '1 while the change log cannot be written, or not in time, else 0.',
    registers,
  })
  const unwritten = new Gauge({
    name: 'pointsman_log_unwritten_entries',
    help: 'Entries that are kept in memory until the change log can be written.',
    registers,
  })
  const lost = new Counter({
    name: 'pointsman_log_lost_entries_total',
    help: 'Entries that the change log will never have.',
    registers,
  })
  /** Those of the trouble that there is now. */
  let told = 0

  const observe = (health: LogHealth): void => {
    const isOk = health.type === 'ok'
    degraded.set(isOk ? 0 : 1)
    unwritten.set(isOk ? 0 : health.unwritten)
    if (!isOk) lost.inc(Math.max(0, health.lost - told))
    told = isOk ? 0 : health.lost
  }
  return (event) => {
    if (event.type === 'log') observe(event.health)
  }
}
