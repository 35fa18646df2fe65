import { createIptables, ownProcesses, runProcess, watchChanges } from 'node-iptables'

const own = ownProcesses({ run: runProcess })
const iptables = await createIptables({ family: 'IPv4', run: own.run })
const stopping = new AbortController()
process.once('SIGTERM', () => stopping.abort())

await watchChanges({
  canary: { iptables: [iptables], chain: 'MY-CANARY', intervalMs: 1000 },
  monitor: { isOwn: own.isOwn },
  signal: stopping.signal,
  onChange: (change) => console.log(change),
  onError: (error) => console.error(error),
})
// After `nft delete chain ip nat MY-CANARY` by another program:
// -> { type: 'generation', generation: 17, pid: 4711, command: 'nft' }
// -> { type: 'canary-gone', family: 'IPv4', tables: [ 'nat' ] }
