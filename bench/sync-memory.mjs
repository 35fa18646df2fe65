// sync-memory.mjs COUNT ENDPOINTS [NAMESPACE]: MB of a process that syncs the rules of so many Services into a kernel, as an
// agent would: events one by one into the fold, everything synced once, then one endpoint's change. Without NAMESPACE the
// restores are read and dropped: what is then measured is ours alone.
// sync-memory.mjs: measures in other processes, as Node is and with the flags that keep its heap small. (root)
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createIptablesBackend } from '@pointsman/backend-iptables'
import { createStateFold, DEFAULT_PROXY_CONFIG, seq } from '@pointsman/core'
import { createIptables } from 'node-iptables'
import { churn } from '../packages/core/dist/testing/churn.js'

const [count, endpoints, namespace] = process.argv.slice(2)
if (count === undefined) measureInOthers()
else await measure({ services: Number(count), endpointsPerService: Number(endpoints), events: 0 })

async function measure(options) {
  const mb = (bytes) => Math.round(bytes / 1e6)
  const peak = () => mb(process.resourceUsage().maxRSS * 1024)
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
  const folded = { rss: mb(process.memoryUsage().rss), peak: peak() }
  const backend = createIptablesBackend({
    config: { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.0.0.0/8'] } },
    iptables: [await iptablesOf(namespace)],
  })
  const sync = (changed) =>
    backend.sync({ state: fold.state, changed, fromSeq: seq(1), toSeq: fold.state.seq }, new AbortController().signal)
  const { rules } = await sync('all')
  const synced = { rss: mb(process.memoryUsage().rss), peak: peak() }
  const moved = structuredClone(last)
  moved.object.endpoints[0].addresses = ['10.199.0.1']
  track({ ...moved, type: 'MODIFIED' })
  await sync(fold.apply().changed)
  const after = { rss: mb(process.memoryUsage().rss), peak: peak() }
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  console.log(JSON.stringify({ rules, empty, folded, synced, after, heap: mb(heapUsed), afterGc: mb(rss) }))
}

async function iptablesOf(namespace) {
  if (namespace !== undefined) {
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
    for (const flags of [[], ['--max-semi-space-size=1', '--optimize-for-size']]) {
      const name = `pointsman-memory-${process.pid}-${size[0]}-${flags.length}`
      execFileSync('ip', ['netns', 'add', name])
      try {
        const argv = ['--expose-gc', ...flags, file, ...size.map(String), name]
        const result = execFileSync(process.execPath, argv, { encoding: 'utf8' })
        console.log(`${size.join(' x ')} ${flags.join(' ')}: ${result.trim()}`)
      } finally {
        execFileSync('ip', ['netns', 'del', name])
      }
    }
  }
}
