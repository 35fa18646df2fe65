import { VirtualAction, VirtualTimeScheduler } from 'rxjs'

/**
 * Time that moves only when it is told to: the clock of a replay. Timers fire in the order of their times, each at its
 * own time, so that the same events and settings give the same runs.
 */
export class VirtualClock extends VirtualTimeScheduler {
  readonly #settled: () => Promise<void> | undefined

  /** `settled` answers what must end before time goes on: a sync under way takes no virtual time. */
  constructor(startMs: number, settled: () => Promise<void> | undefined = () => undefined) {
    super(VirtualAction, Number.POSITIVE_INFINITY)
    this.frame = startMs
    this.#settled = settled
  }

  /** Lets everything happen that is due until then, and sets the time. Synchronous where nothing is under way. */
  advanceTo(timeMs: number): Promise<void> | undefined {
    const waiting = this.#settled()
    if (waiting !== undefined) return this.#advanceAfter(waiting, timeMs)
    for (let next = this.actions[0]; next !== undefined && next.delay <= timeMs; next = this.actions[0]) {
      this.#run(next)
      const underWay = this.#settled()
      if (underWay !== undefined) return this.#advanceAfter(underWay, timeMs)
    }
    this.frame = Math.max(this.frame, timeMs)
    return undefined
  }

  /** When the next timer is due; undefined when there is none. */
  get nextAt(): number | undefined {
    return this.actions[0]?.delay
  }

  async #advanceAfter(waiting: Promise<void>, timeMs: number): Promise<void> {
    await waiting
    await this.advanceTo(timeMs)
  }

  #run(action: VirtualTimeScheduler['actions'][number]): void {
    this.actions.shift()
    this.frame = Math.max(this.frame, action.delay)
    const error: unknown = action.execute(action.state, action.delay)
    if (error !== undefined) throw error
  }
}
