import { Counter } from 'prom-client'
import type { MetricGroup } from './metric-context.js'

/** What others have changed in our rules. */
export const driftMetrics: MetricGroup = ({ registry, families }) => {
  const registers = [registry]
  const labelNames = ['ip_family'] as const
  const checks = new Counter({
    name: 'pointsman_drift_checks_total',
    help: 'Comparisons of the tables with what was put there.',
    registers,
  })
  const failures = new Counter({
    name: 'pointsman_drift_failures_total',
    help: 'Comparisons that could not be made, or whose findings could not be put right.',
    registers,
  })
  const found = new Counter({
    name: 'pointsman_drift_found_total',
    help: 'Comparisons that found a difference.',
    labelNames,
    registers,
  })
  const mended = new Counter({
    name: 'pointsman_drift_mended_chains_total',
    help: 'Chains that were put right.',
    labelNames,
    registers,
  })
  for (const ip_family of families) for (const each of [found, mended]) each.inc({ ip_family }, 0)

  return (event) => {
    if (event.type !== 'drift') return
    checks.inc()
    if (event.error !== undefined) failures.inc()
    for (const { family, chains } of event.drifts) {
      found.inc({ ip_family: family })
      mended.inc({ ip_family: family }, chains.length)
    }
  }
}
