// sync-memory.mjs COUNT ENDPOINTS [NAMESPACE]: MB of a process that syncs the rules of so many Services into a kernel, as an
// agent would: events one by one into the fold, everything synced once, then one endpoint's change. Without NAMESPACE the
// restores are read and dropped: what is then measured is ours alone. With NAMESPACE the tables are looked through for drift
// as well, and synced once more as after a restart.
// sync-memory.mjs: measures in other processes, as Node is and with the flags that `pointsman run` sets. (root)
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createIptablesBackend } from '@pointsman/backend-iptables'
import { createStateFold, DEFAULT_PROXY_CONFIG, seq } from '@pointsman/core'
import { createIptables } from 'node-iptables'
import { churn } from '../packages/core/dist/testing/churn.js'

const given = process.argv.slice(2)
const [count, endpoints, namespace] = given
if (given.length === 0) measureInOthers()
else await measure({ services: Number(count), endpointsPerService: Number(endpoints), events: 0 })

async function measure(options) {
  const mb = (bytes) => Math.round(bytes / 1e6)
  const now = () => ({ rss: mb(process.memoryUsage().rss), peak: mb(process.resourceUsage().maxRSS * 1024) })
  const empty = mb(process.memoryUsage().rss)
  const fold = createStateFold({ nodeName: 'node-0' })
  let tracked = 0
  const track = (event) => {
    // As it comes from the wire: no two objects share a string.
    if (event.type !== 'BOOKMARK') fold.track(seq(++tracked), JSON.parse(JSON.stringify(event)))
    if (tracked % 500 === 0) fold.apply()
  }
  let last
  for (const event of churn(options)) {
    track(event)
    if (event.type === 'ADDED') last = event
  }
  fold.apply()
  const folded = now()
  const iptables = await iptablesOf(namespace)
  const config = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.0.0.0/8'] } }
  const signal = new AbortController().signal
  const backend = createIptablesBackend({ config, iptables: [iptables] })
  const sync = (changed, to = backend) =>
    to.sync({ state: fold.state, changed, fromSeq: seq(1), toSeq: fold.state.seq }, signal)
  const { rules } = await sync('all')
  const synced = now()
  const moved = structuredClone(last)
  moved.object.endpoints[0].addresses = ['10.199.0.1']
  track({ ...moved, type: 'MODIFIED' })
  await sync(fold.apply().changed)
  const changed = now()
  globalThis.gc?.()
  const { heapUsed } = process.memoryUsage()
  const report = { rules, empty, folded, synced, changed, heap: mb(heapUsed) }
  if (given.length > 2) {
    await backend.repairDrift(signal)
    report.drift = now()
    await sync('all')
    report.again = now()
  }
  console.log(JSON.stringify(report))
}

async function iptablesOf(namespace) {
  if (given.length > 2) {
    return createIptables({ family: 'IPv4', variant: 'nft', prefix: ['ip', 'netns', 'exec', namespace] })
  }
  const { createFakeIptables } = await import('node-iptables/fake')
  const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
  return { ...fake, restore: async () => undefined }
}

function measureInOthers() {
  const file = fileURLToPath(import.meta.url)
  for (const size of [
    [10_000, 5],
    [2000, 2],
  ]) {
    for (const flags of [[], ['--optimize-for-size', '--semi-space-growth-factor=1']]) {
      const name = `pointsman-memory-${process.pid}-${size[0]}-${flags.length}`
      execFileSync('ip', ['netns', 'add', name])
      try {
        const argv = [...flags, '--expose-gc', file, ...size.map(String), name]
        const result = execFileSync(process.execPath, argv, { encoding: 'utf8' })
        console.log(`${size.join(' x ')} ${flags.join(' ')}: ${result.trim()}`)
      } finally {
        execFileSync('ip', ['netns', 'del', name])
      }
    }
  }
}
