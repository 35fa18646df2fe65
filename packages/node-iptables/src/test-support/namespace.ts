import { execFileSync } from 'node:child_process'
import { describe } from 'vitest'

/** A network namespace of the test's own: words to put before a command, and its end. */
export interface Namespace {
  readonly prefix: readonly string[]
  remove(): void
}

let count = 0

export function createNamespace(): Namespace {
  const name = `node-iptables-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', name])
  return {
    prefix: ['ip', 'netns', 'exec', name],
    remove: () => void execFileSync('ip', ['netns', 'del', name]),
  }
}

/**
 * The same with this thread in it, so that no words are needed before a command. Of two, remove the last one first, when whatever
 * was started there has ended.
 */
export function enterNamespace(): Namespace {
  const { leave } = enterNetwork()
  return { prefix: [], remove: leave }
}

const { enterNetwork } = (await import(new URL('../../../../test/support/own-network.mjs', import.meta.url).href)) as {
  readonly enterNetwork: () => { readonly leave: () => void }
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
  const lacking = execFileSync('sh', ['-c', script, 'sh', ...NEEDED], { encoding: 'utf8' }).trim()
  return lacking === '' ? undefined : `it needs ${lacking}`
}

const NEEDED = ['ip', 'iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy', 'nft', 'xtables-monitor']
