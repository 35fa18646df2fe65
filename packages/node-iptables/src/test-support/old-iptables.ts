import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProcess } from '../run-process.js'
import type { Run, RunRequest, RunResult } from '../run-process.js'

/** `1.4.21-backports`: Red Hat's 1.4.21, whose restore takes the xtables lock, as that of 1.6.2 does. */
export type OldVersion = '1.4.10' | '1.4.19' | '1.4.20' | '1.4.21-backports' | '1.6.1' | '1.6.2' | '1.8.9'

/**
 * Executables that stand in for those of an old version (legacy, both families), with tables of their own. They take
 * the options that it had, refuse the others in its words, and lock what it locked. No root is needed.
 */
export interface OldIptables {
  /** Where the executables are. */
  readonly folder: string
  /** What they lock in place of /run/xtables.lock. */
  readonly lockFile: string
  /** Stands in for the abstract socket that 1.4.20 and 1.4.21 lock. */
  readonly socketFile: string
  /** Runs them, and what else there is, with their tables in place of those of this machine. */
  readonly run: Run
  /** The commands so far; `locked: ` is before those that were begun with the lock file locked. */
  calls(): readonly string[]
  remove(): void
}

/** `inProcess`: they run in this process, where nothing else may hold or want their lock; whatever runs under flock(1) is a process. */
export function createOldIptables(
  version: OldVersion,
  { inProcess = false }: { readonly inProcess?: boolean } = {},
): OldIptables {
  const folder = mkdtempSync(join(tmpdir(), 'old-iptables-'))
  for (const name of NAMES) {
    const file = join(folder, name)
    const words = [process.execPath, PROGRAM, version, folder, name].map((word) => `'${word}'`)
    writeFileSync(file, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 })
  }
  // Asked for the tables that the kernel has: the program writes them where this looks.
  writeFileSync(join(folder, 'cat'), `#!/bin/sh\nexec /bin/cat '${folder}'/"\${1##*/}"\n`, { mode: 0o755 })
  const journal = join(folder, 'calls')
  const path = `${folder}:${process.env['PATH'] ?? ''}`
  return {
    folder,
    lockFile: join(folder, 'xtables.lock'),
    socketFile: join(folder, 'xtables.socket'),
    run: (request) =>
      inProcess && NAMES.includes(request.argv[0] ?? '')
        ? runHere(request, { version, folder })
        : runProcess({ ...request, env: { ...request.env, PATH: path } }),
    calls: () => (existsSync(journal) ? readFileSync(journal, 'utf8').trimEnd().split('\n') : []),
    remove: () => rmSync(folder, { recursive: true }),
  }
}

async function runHere(
  { argv, input = [], onOutput }: RunRequest,
  place: { readonly version: string; readonly folder: string },
): Promise<RunResult> {
  const pieces: string[] = []
  for await (const piece of input) pieces.push(piece)
  const [name = '', ...args] = argv
  const { stdout, ...ended } = runProgram({ ...place, name, args, readInput: () => pieces.join('') })
  await onOutput?.(stdout)
  return { argv, ...ended, signal: null, stdout: onOutput === undefined ? stdout : '' }
}

const PROGRAM = fileURLToPath(new URL('old-iptables/program.mjs', import.meta.url))
const NAMES = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`])

const { runProgram } = (await import(new URL('old-iptables/program.mjs', import.meta.url).href)) as {
  readonly runProgram: (call: {
    readonly version: string
    readonly folder: string
    readonly name: string
    readonly args: readonly string[]
    readonly readInput: () => string
  }) => Pick<RunResult, 'exitCode' | 'stdout' | 'stderr'>
}
