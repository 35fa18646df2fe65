import { asyncScheduler, type SchedulerLike } from 'rxjs'

/*
 * Wall time may be set while an agent runs. Durations are measured by a steady clock, which nobody sets; wall time is for what is
 * written and shown.
 */

/** Milliseconds since some moment, never set. They stand still while the machine is suspended. */
export const steadyNow = (): number => Math.floor(performance.now())

/** The timers of rxjs, on the steady clock. */
export const steadyScheduler: SchedulerLike = {
  now: steadyNow,
  schedule: asyncScheduler.schedule.bind(asyncScheduler),
}

export interface WallTime {
  /** When a moment of the steady clock was, as wall time has it now: milliseconds since 1970 UTC. */
  readonly of: (at: number) => number
  /** By how much wall time was set since the last question, in milliseconds; 0: it was not. */
  readonly step: () => number
}

/** What lies between two clocks. A moment that is asked for twice is the same, unless wall time was set between. */
export function createWallTime({
  steady,
  wall,
}: {
  readonly steady: () => number
  readonly wall: () => number
}): WallTime {
  let ahead = wall() - steady()
  const step = (): number => {
    const now = wall() - steady()
    const by = now - ahead
    if (Math.abs(by) < LEAST_STEP_MS) return 0
    ahead = now
    return by
  }
  return {
    step,
    of: (at) => {
      step()
      return at + ahead
    },
  }
}

/** Clocks that are slewed drift apart; no duration that an agent judges by is as short. */
const LEAST_STEP_MS = 500
