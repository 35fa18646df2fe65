import type { FamilyDrift, IptablesBackend } from '@pointsman/backend-iptables'
import type { LogEntry } from '@pointsman/core'
import { type Generation, type Iptables, type OwnProcesses, type TableChange, watchChanges } from 'node-iptables'
import { merge, type Observable, type SchedulerLike, Subject, take, takeUntil } from 'rxjs'
import type { AgentEvent } from './agent-event.js'
import { driftChecks } from './drift-checks.js'
import { createRepeats } from './repeats.js'

export interface KeepInForceOptions {
  readonly backend: Pick<IptablesBackend, 'mendDrift'>
  readonly iptables: readonly Iptables[]
  /** Which changes are the agent's own. */
  readonly isOwn: OwnProcesses['isOwn']
  /** Emits when rules are in force: before, there is nothing that could differ. */
  readonly inForce: Observable<unknown>
  readonly syncPeriodMs: number
  readonly scheduler: SchedulerLike
  readonly signal: AbortSignal
  readonly onEvent: (event: AgentEvent) => void
  /** What the log has to tell. */
  readonly onNotice: (notice: Extract<LogEntry, { type: 'notice' }>) => void
  /** The tables could not be compared, or not be mended: what is in force is in doubt. */
  readonly onDoubt: () => void
  readonly onWarning: (message: string) => void
}

/**
 * Keeps rules as they were put there: looks at them when somebody else's change is noticed, and at an interval, mends what
 * differs, and tells who did it as far as that is known. Settles when the signal aborts.
 */
export async function keepInForce(options: KeepInForceOptions): Promise<void> {
  const { backend, iptables, inForce, syncPeriodMs, scheduler, signal, onEvent } = options
  const [first] = iptables
  if (first === undefined) return
  const changed = new Subject<TableChange>()
  const over = new Subject<void>()
  const suspects = createSuspects()
  const repeats = createRepeats(QUIET_MS)
  changed.subscribe((change) => {
    if (change.type === 'generation') suspects.add(change)
  })

  const isNft = first.capabilities.variant === 'nft'
  const asked = merge(inForce.pipe(take(1)), changed).pipe(takeUntil(over))
  const looks = driftChecks(
    {
      asked,
      check: () => backend.mendDrift(signal),
      // On nft the kernel tells of each change; elsewhere one that spares the canaries is seen by looking alone.
      intervalMs: syncPeriodMs * (isNft ? 10 : 2),
      minIntervalMs: LEAST_PAUSE_MS,
    },
    scheduler,
  ).subscribe((outcome) => {
    const at = scheduler.now()
    if (outcome.type === 'failed') {
      if (signal.aborted) return
      onEvent({ type: 'drift', drifts: [], at, error: outcome.error })
      options.onDoubt()
      return
    }
    const by = suspects.take()
    onEvent({ type: 'drift', drifts: outcome.drifts, at })
    for (const drift of outcome.drifts) {
      const quiet = repeats.take(`${drift.family} ${drift.chains.join()}`, at)
      if (quiet !== undefined) options.onNotice(driftNotice(drift, { by, quiet }, at))
    }
  })

  try {
    await watchChanges({
      signal,
      canary: { iptables, chain: CANARY_CHAIN, intervalMs: syncPeriodMs },
      monitor: isNft ? { isOwn: options.isOwn } : undefined,
      onChange: (change) => changed.next(change),
      onError: (error) => options.onWarning(`changes of others may go unnoticed: ${messageOf(error)}`),
    })
  } finally {
    over.next()
    looks.unsubscribe()
  }
}

/** kube-proxy's own, so that whoever looks for it finds it, and an audit takes it for normal. */
const CANARY_CHAIN = 'KUBE-PROXY-CANARY'

const LEAST_PAUSE_MS = 1000
/** What somebody does again and again is recorded so often. */
const QUIET_MS = 60_000

type Suspect = Pick<Generation, 'pid' | 'command'>

/** Processes that changed tables since the last look, the last few of them. */
function createSuspects(): { readonly add: (change: Generation) => void; readonly take: () => readonly Suspect[] } {
  let suspects: Suspect[] = []
  return {
    add: ({ pid, command }) => {
      suspects = [...suspects.filter((one) => one.pid !== pid), { pid, command }].slice(-MAX_SUSPECTS)
    },
    take: () => {
      const taken = suspects
      suspects = []
      return taken
    },
  }
}

const MAX_SUSPECTS = 5
const MAX_CHAINS = 20

function driftNotice(
  { family, chains, bytes }: FamilyDrift,
  { by, quiet }: { readonly by: readonly Suspect[]; readonly quiet: number },
  observedAt: number,
): Extract<LogEntry, { type: 'notice' }> {
  const who = by.map(({ pid, command }) => `${command} (process ${pid})`).join(', ')
  const again = quiet === 0 ? '' : `, ${quiet + 1} times since it was last said`
  const shown = chains.length > 3 ? `${chains.slice(0, 3).join(', ')} and ${chains.length - 3} more` : chains.join(', ')
  return {
    type: 'notice',
    observedAt,
    code: 'RULES_CHANGED',
    message: `somebody else changed ${family} rules, which are as they were again${again}: ${shown}; ${who === '' ? 'by whom is not known' : `meanwhile tables were changed by ${who}`}`,
    details: {
      family,
      chains: chains.slice(0, MAX_CHAINS),
      chainCount: chains.length,
      bytes,
      ...(quiet > 0 && { times: quiet + 1 }),
      ...(by.length > 0 && { by: by.map(({ pid, command }) => ({ pid, command })) }),
    },
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
