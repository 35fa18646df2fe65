import { Counter, Gauge, Histogram } from 'prom-client'
import type { Observation } from '../observe/observe-rules.js'
import { EVENT_BUCKETS, type MetricGroup, SYNC_BUCKETS } from './metric-context.js'

/** What an observer sees of the rules that another program writes. */
export const observeMetrics: MetricGroup = ({ registry, clock }) => {
  const registers = [registry]
  let last: Observation | undefined
  const since = (at: number | undefined): number => Math.max(0, clock() - (at ?? clock())) / 1000
  const latency = new Histogram({
    name: 'pointsman_observe_event_to_rules_seconds',
    help: 'From when a change was recorded to when the service proxy had it in the rules, in seconds, as precise as looks are frequent.',
    buckets: EVENT_BUCKETS,
    registers,
  })
  const wrong: Gauge = new Gauge({
    name: 'pointsman_observe_wrong_seconds',
    help: 'For how long the rules have been what no state of the cluster explains, in seconds; 0 where they are right.',
    registers,
    collect: () => wrong.set(since(last?.damage?.since)),
  })
  const wrongPorts: Gauge = new Gauge({
    name: 'pointsman_observe_wrong_service_ports',
    help: 'Service ports that have wrong rules of their own.',
    registers,
    collect: () => wrongPorts.set(last?.damage?.servicePorts.length ?? 0),
  })
  const late: Gauge = new Gauge({
    name: 'pointsman_observe_late_seconds',
    help: 'For how long the service proxy has been behind, in seconds; 0 while every change is younger than a proxy may take.',
    registers,
    collect: () => late.set(last?.behind?.late === true ? last.behind.forMs / 1000 : 0),
  })
  const incomparable: Gauge = new Gauge({
    name: 'pointsman_observe_incomparable',
    help: '1 where rules are of another mode, release or proxy, or of other settings than were given, else 0.',
    registers,
    collect: () => incomparable.set(last?.incomparable === undefined ? 0 : 1),
  })
  const damages = new Counter({
    name: 'pointsman_observe_damages_total',
    help: 'How often the rules became wrong.',
    registers,
  })
  const looks = new Histogram({
    name: 'pointsman_observe_look_seconds',
    help: 'How long it took to read the rules and to compare them, in seconds.',
    buckets: SYNC_BUCKETS,
    registers,
  })
  const failures = new Counter({
    name: 'pointsman_observe_failures_total',
    help: 'Times that the rules could not be read or compared.',
    registers,
  })

  return (event) => {
    if (event.type !== 'observed') return
    const { observation } = event
    for (const { latencyMs } of observation.arrived) latency.observe(latencyMs / 1000)
    if (observation.damage !== undefined && last?.damage === undefined) damages.inc()
    if (observation.look !== undefined) looks.observe(observation.look.durationMs / 1000)
    if (observation.error !== undefined) failures.inc()
    last = observation
  }
}
