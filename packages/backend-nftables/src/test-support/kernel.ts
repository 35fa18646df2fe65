import { execFileSync } from 'node:child_process'
import { describeKernel } from '@pointsman/core/testing'

/** A network namespace that this thread is in: no word is needed before a command. One at a time. */
export interface EnteredNamespace {
  /** Runs a command, with a text as its input, and gives its output. Throws when it fails. */
  readonly run: (argv: readonly string[], input?: string) => string
  readonly remove: () => void
}

export function enterKernelNamespace(): EnteredNamespace {
  const { leave } = enterNetwork()
  return {
    run: ([command = '', ...args], input = '') =>
      execFileSync(command, args, { encoding: 'utf8', input, maxBuffer: 2 ** 30, stdio: 'pipe' }),
    remove: leave,
  }
}

const { enterNetwork } = (await import(new URL('../../../../test/support/own-network.mjs', import.meta.url).href)) as {
  readonly enterNetwork: () => { readonly leave: () => void }
}

/** A suite in a namespace with a real nft(8). */
export const describeWithNft = (name: string, suite: () => void): void => describeKernel(name, missing(), suite)

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root'
  try {
    execFileSync('nft', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'it needs nft'
  }
}

const { compare } = (await import(new URL('../../../../tools/compare-nft.mjs', import.meta.url).href)) as {
  readonly compare: (expected: string, actual: string) => readonly unknown[]
}

/** What differs between two listings of `nft -j`, by tools/compare-nft.mjs; none: nothing. */
export const differencesOf = compare
