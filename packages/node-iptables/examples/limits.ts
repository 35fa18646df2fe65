import { createIptables, IptablesError } from 'node-iptables'

const iptables = await createIptables({ family: 'IPv4', waitSeconds: 10, timeoutMs: 60_000 })
const stopping = new AbortController()

function* lines() {
  yield '*filter'
  yield ':HALF - [0:0]'
  // It is not wanted any more, before it is complete.
  stopping.abort()
}

try {
  await iptables.restore({ lines, flush: false, counters: false, waitSeconds: 2 }, { signal: stopping.signal })
} catch (error) {
  if (!(error instanceof IptablesError)) throw error
  console.log(error.code, await iptables.hasChain({ table: 'filter', chain: 'HALF' }))
}
// -> ABORTED false
