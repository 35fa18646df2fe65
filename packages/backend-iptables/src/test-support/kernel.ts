import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
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

export interface EnteredNamespace extends Omit<KernelNamespace, 'name'> {
  /** The processes in it, without this one. */
  readonly pids: () => readonly number[]
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

/**
 * The same, with this thread in it: no word is needed before a command, and createIptables without a prefix is of it. One at a
 * time. What still runs in it at the end is killed.
 */
export function enterKernelNamespace(): EnteredNamespace {
  const { leave } = enterNetwork()
  const pids = (): readonly number[] => {
    const own = namespaceOf('self')
    const others = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    return others.filter((pid) => namespaceOf(pid) === own).map(Number)
  }
  return {
    prefix: [],
    run: (command = '', ...args) => execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 }),
    iptables: createIptables,
    pids,
    remove: () => {
      for (const pid of pids()) end(pid)
      leave()
    },
  }
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    // It has ended by now.
    return undefined
  }
}

/** Of a save, the tables that the proxy has to do with, without comments and in the order of a golden: variants have orders of their own. */
export function tablesInOrder(save: string): string {
  const tables = save.replaceAll(/^#.*\n/gm, '').split(/^(?=\*)/m)
  return ['*mangle\n', '*filter\n', '*nat\n']
    .map((start) => tables.find((table) => table.startsWith(start)) ?? '')
    .join('')
}

const { enterNetwork } = (await import(new URL('../../../../test/support/own-network.mjs', import.meta.url).href)) as {
  readonly enterNetwork: () => { readonly leave: () => void }
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
  const script = 'for program; do command -v "$program" > /dev/null || { echo "$program"; break; }; done'
  const lacking = execFileSync('sh', ['-c', script, 'sh', ...PROGRAMS, ...also], { encoding: 'utf8' }).trim()
  return lacking === '' ? undefined : `it needs ${lacking}`
}
