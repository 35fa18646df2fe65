import { execFileSync } from 'node:child_process'
import { describe } from 'vitest'

/** A network namespace of the test's own. */
export interface Namespace {
  /** Words to put before a command. */
  readonly prefix: readonly string[]
  /** Runs a command in it to its end, with what it reads. */
  run(argv: readonly string[], input?: string): void
  remove(): void
}

let count = 0

export function createNamespace(): Namespace {
  const name = `node-netfilter-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', name])
  const prefix = ['ip', 'netns', 'exec', name]
  return {
    prefix,
    run: ([command = '', ...args], input = '') => {
      execFileSync('ip', [...prefix.slice(1), command, ...args], { input, stdio: ['pipe', 'ignore', 'inherit'] })
    },
    remove: () => void execFileSync('ip', ['netns', 'del', name]),
  }
}

/** Skips for lack of root or of the executables, and says so; with POINTSMAN_REQUIRE_KERNEL=1 that is a failure. */
export function describeKernel(name: string, suite: () => void): void {
  const missing = lacking()
  if (missing !== undefined && process.env['POINTSMAN_REQUIRE_KERNEL'] === '1') throw new Error(`${name}: ${missing}`)
  const reason = missing === undefined ? '' : ` (skipped: ${missing})`
  describe.skipIf(missing !== undefined)(`${name}${reason}`, () => {
    suite()
  })
}

function lacking(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root'
  const script = 'for program; do command -v "$program" > /dev/null || { echo "$program"; break; }; done'
  const needed = ['ip', 'nft', 'iptables-nft', 'iptables-nft-restore', 'setpriv']
  const lacking = execFileSync('sh', ['-c', script, 'sh', ...needed], { encoding: 'utf8' }).trim()
  return lacking === '' ? undefined : `it needs ${lacking}`
}
