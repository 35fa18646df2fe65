import { execFileSync } from 'node:child_process'
import { describeKernel } from '@pointsman/core/testing'
import { createIptables, type Family, type Iptables, type Variant } from 'node-iptables'

/** A network namespace of a test's own. */
export interface KernelNamespace {
  readonly name: string
  /** Words before a command that runs in it. */
  readonly prefix: readonly string[]
  /** Runs a command in it and gives its output. Throws when it fails. */
  readonly run: (...argv: readonly string[]) => string
  readonly iptables: (options: { readonly family: Family; readonly variant: Variant }) => Promise<Iptables>
  readonly remove: () => void
}

let count = 0

export function createKernelNamespace(): KernelNamespace {
  const name = `backend-iptables-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', name])
  const prefix = ['ip', 'netns', 'exec', name]
  return {
    name,
    prefix,
    run: (...argv) => execFileSync('ip', ['netns', 'exec', name, ...argv], { encoding: 'utf8', maxBuffer: 2 ** 30 }),
    iptables: ({ family, variant }) => createIptables({ family, variant, prefix }),
    remove: () => {
      // A process that was killed may leave one that notices at the next change of the tables, and here no change comes any more.
      for (const pid of execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n')) {
        if (pid !== '') end(Number(pid))
      }
      execFileSync('ip', ['netns', 'del', name])
    },
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

/** A suite in namespaces with real iptables; `also` names further programs that it needs. */
export const describeWithKernel = (name: string, suite: () => void, also: readonly string[] = []): void =>
  describeKernel(name, missing(also), suite)

const PROGRAMS = ['ip', 'iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy', 'nfacct']

function missing(also: readonly string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root'
  const lacking = [...PROGRAMS, ...also].find((program) => !isInstalled(program))
  return lacking === undefined ? undefined : `it needs ${lacking}`
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
