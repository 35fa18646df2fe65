import {
  classifyFailure,
  failedLineOf,
  IptablesError,
  type IptablesErrorCode,
  type RestoreFailure,
  restoreFailureAt,
} from './iptables-error.js'
import { LOCK_CONFLICT, lockHolderOf } from './xtables-lock.js'
import type { RestoreSource } from './restore-input.js'
import type { Run, RunRequest, RunResult } from './run-process.js'

/** Where and how commands are run. */
export interface CommandsOptions {
  readonly run: Run
  /** Words before every command: `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly lockFile: string
}

export interface Commands {
  /** Runs to a good end, or fails with the code for what went wrong. */
  readonly run: (request: RunRequest) => Promise<RunResult>
  /** The same for a restore: the error has the line that failed, and its neighbours. */
  readonly restore: (request: Omit<RunRequest, 'input'> & { readonly source: RestoreSource }) => Promise<RunResult>
}

export function commandsOf({ run, prefix, env, lockFile }: CommandsOptions): Commands {
  const attempt = (request: RunRequest): Promise<RunResult> =>
    run({ ...request, argv: [...prefix, ...request.argv], env: { ...env, ...request.env } })

  const errorOf = async (result: RunResult, source?: RestoreSource): Promise<IptablesError> => {
    const code = codeFor(result, source !== undefined)
    return new IptablesError(code, {
      argv: result.argv,
      exitCode: result.exitCode ?? undefined,
      stderr: result.stderr,
      restore: source === undefined ? undefined : await failureIn(result, source),
      lockHolder: code === 'LOCK_HELD' ? await lockHolderOf(lockFile) : undefined,
    })
  }

  return {
    run: async (request) => {
      const result = await attempt(request)
      if (result.exitCode !== 0) throw await errorOf(result)
      return result
    },
    restore: async ({ source, ...request }) => {
      const result = await attempt({ ...request, input: source.pieces })
      if (result.exitCode !== 0) throw await errorOf(result, source)
      return result
    },
  }
}

/** Undefined too where the lines cannot be had again: what iptables said counts more. */
async function failureIn({ stderr }: RunResult, source: RestoreSource): Promise<RestoreFailure | undefined> {
  const number = failedLineOf(stderr)
  return number === undefined ? undefined : restoreFailureAt(number, source.again()).catch(() => undefined)
}

/** A failure that is expected: gives false instead of the error when it has one of the codes. */
export async function unless(codes: readonly IptablesErrorCode[], attempt: Promise<unknown>): Promise<boolean> {
  try {
    await attempt
    return true
  } catch (error) {
    if (error instanceof IptablesError && codes.includes(error.code)) return false
    throw error
  }
}

function codeFor(result: RunResult, isRestore: boolean): IptablesErrorCode {
  if (result.exitCode === LOCK_CONFLICT) return 'LOCK_HELD'
  const code = classifyFailure(result)
  return isRestore && code === 'FAILED' ? 'RESTORE_FAILED' : code
}
