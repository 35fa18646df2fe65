import type { ProgramName } from './faults.js'

/** One call of a program, as the fake saw it. */
export interface RecordedCall {
  readonly program: ProgramName
  readonly argv: readonly string[]
  /** What a restore read; as far as it read when it failed. Undefined: no restore, or texts are not kept. */
  readonly text?: string | undefined
  /** How many COMMITs of a restore took effect. */
  readonly commits: number
  /** Null: a signal ended it, or it was given up. */
  readonly exitCode: number | null
}
