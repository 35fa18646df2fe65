// Network namespaces for tests without a process for each: this thread itself goes into a new one, and so does every
// process that it starts there. Needs root, and koffi, the library by which node-netfilter makes system calls.
import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'

const CLONE_NEWNET = 0x40000000

/**
 * Puts this thread into a new network namespace. `leave` puts it back to where it was: of two, leave the last one first.
 * What Node's other threads read of `/proc/sys/net` is still that of the namespace before.
 */
export function enterNetwork() {
  const { unshare, setns } = systemCalls()
  const before = openSync(OWN, 'r')
  if (unshare(CLONE_NEWNET) !== 0) throw new Error('unshare(2) made no network namespace: it needs root')
  return {
    leave() {
      const result = setns(before, CLONE_NEWNET)
      closeSync(before)
      if (result !== 0) throw new Error('setns(2) did not go back to the network namespace before')
    },
  }
}

const OWN = '/proc/thread-self/ns/net'

let loaded

function systemCalls() {
  if (loaded === undefined) {
    const koffi = createRequire(new URL('../../packages/node-netfilter/package.json', import.meta.url))('koffi')
    const libc = koffi.load(null)
    loaded = { unshare: libc.func('unshare', 'int', ['int']), setns: libc.func('setns', 'int', ['int', 'int']) }
  }
  return loaded
}
