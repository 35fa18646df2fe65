import { IptablesError } from '../iptables-error.js'
import type { KernelReason } from './refusal.js'
import { commandEnding, restoreEnding } from './spell-failure.js'
import type { Ending, Program } from './spell-failure.js'

export type ProgramName = 'iptables' | 'save' | 'restore'

/** How one call fails, whatever it is asked. */
export interface Fault {
  readonly failure:
    /** Another program has the xtables lock, for longer than the call waits. Nothing is applied. */
    | 'LOCK_HELD'
    /** Not root. Nothing is applied. */
    | 'NO_PERMISSION'
    /** The kernel has no memory for it. */
    | 'REFUSED'
    /** Doubtful: nobody can tell from the error how much was applied. */
    | 'TIMED_OUT'
    | 'ABORTED'
    /** A signal ended the process. */
    | 'KILLED'
  /** Which program's next call it is. Default: whichever comes next. */
  readonly program?: ProgramName | undefined
  /** How much takes effect before: so many COMMITs of a restore, or all of the call. Default: 0. */
  readonly applied?: number | 'all' | undefined
}

/** Faults in the order in which they strike. */
export interface FaultPlan {
  readonly add: (fault: Fault) => void
  /** The fault for a call of this program, which is over with it. */
  readonly take: (program: ProgramName) => Fault | undefined
}

export function faultPlan(): FaultPlan {
  const waiting: Fault[] = []
  return {
    add: (fault) => void waiting.push(fault),
    take: (name) => {
      const at = waiting.findIndex(({ program }) => program === undefined || program === name)
      return at < 0 ? undefined : waiting.splice(at, 1)[0]
    },
  }
}

/** Whether the call fails before it does anything. */
export const strikesAtStart = ({ failure, applied = 0 }: Fault, program: ProgramName): boolean =>
  failure === 'LOCK_HELD' || failure === 'NO_PERMISSION' || (applied === 0 && program !== 'restore')

export interface FaultPlace {
  readonly program: Program
  readonly argv: readonly string[]
  /** The line of a restore that is being read. */
  readonly line?: number | undefined
}

/** How the process ends. Throws the IptablesError of a call that was given up. */
export function endingOf({ failure }: Fault, { program, argv, line }: FaultPlace): Ending {
  switch (failure) {
    case 'TIMED_OUT':
    case 'ABORTED':
      throw new IptablesError(failure, { argv })
    case 'KILLED':
      return { exitCode: null, stderr: '' }
    case 'LOCK_HELD':
      return { exitCode: 4, stderr: LOCK_HELD }
    case 'NO_PERMISSION':
      return { exitCode: 4, stderr: NO_PERMISSION }
    case 'REFUSED': {
      const reason: KernelReason = 'Cannot allocate memory'
      const refusal = { type: 'kernel', step: 'RULE_APPEND', reason, object: 'rule' } as const
      return line === undefined ? commandEnding(program, refusal) : restoreEnding(program, { refusal, line })
    }
  }
}

const LOCK_HELD = 'Another app is currently holding the xtables lock. Stopped waiting after 5s.\n'
const NO_PERMISSION = "Fatal: can't open lock file /run/xtables.lock: Permission denied\n"
