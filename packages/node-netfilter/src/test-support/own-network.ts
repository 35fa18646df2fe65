import { execFileSync } from 'node:child_process'

/** Puts this thread, and what it starts, into a new network namespace. `leave` puts it back. */
export const { enterNetwork } = (await import(
  new URL('../../../../test/support/own-network.mjs', import.meta.url).href
)) as {
  readonly enterNetwork: () => { readonly leave: () => void }
}

/** Runs nft in this thread's network namespace; what it prints. */
export const nft = (args: readonly string[], input = ''): string =>
  execFileSync('nft', args, { input, encoding: 'utf8' })
