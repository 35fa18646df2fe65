// node bench/latency.mjs [--services 100,1000,5000] [--endpoints 5] [--changes 200]   (root; `tsc -b` and scripts/bundle.mjs must have been run)
//
// From a change at the API server to its rules: `pointsman run` (IPv4, nft, no pause between syncs) in a network namespace of its own beside
// the test API server. Endpoints are replaced one after the other, each when the kernel has reported the commit for the one before, so that
// what is measured is one change alone; a process of its own listens to the kernel. Prints the rows of a table in docs/performance.md.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { node } from '@pointsman/core/testing'
import { watchGenerations } from 'node-netfilter'
import { memoryOf, serviceOf, sliceOf, startServer } from './agent-support.mjs'
import { say } from './kernel-support.mjs'

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '100,1000,5000' },
    endpoints: { type: 'string', default: '5' },
    changes: { type: 'string', default: '200' },
    command: { type: 'string', default: fileURLToPath(new URL('../packages/cli/bin/pointsman.mjs', import.meta.url)) },
  },
})
const [endpoints, changes] = [values.endpoints, values.changes].map(Number)

// The whole benchmark is in the namespace: the watch of the kernel is of the namespace of its thread.
if (process.env.POINTSMAN_BENCH_INSIDE === undefined) {
  const inside = [process.execPath, ...process.argv.slice(1)]
  execFileSync('unshare', ['--net', ...inside], {
    stdio: 'inherit',
    env: { ...process.env, POINTSMAN_BENCH_INSIDE: '1' },
  })
  process.exit(0)
}
execFileSync('ip', ['link', 'set', 'lo', 'up'])

console.log(
  `load of the machine before: ${loadavg()
    .map((one) => one.toFixed(1))
    .join(', ')}`,
)
console.log(
  '| services | p50, p99, max, ms | agent, ms of a processor a change | commands, the same | agent, MB, peak | commands, MB |',
)
console.log('|---|---|---|---|---|---|')
for (const count of values.services.split(',').map(Number)) console.log(await measure(count))
console.log(
  `load of the machine after: ${loadavg()
    .map((one) => one.toFixed(1))
    .join(', ')}`,
)
process.exit(0)

async function measure(services) {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-latency-'))
  const server = startServer()
  await server.started
  writeFileSync(join(folder, 'kubeconfig'), await server.call('kubeconfig'))
  const all = Array.from({ length: services }, (_, index) => [serviceOf(index), sliceOf(index, { endpoints })])
  await server.call('putAll', [...all.flat(), node({ name: 'node-a' })])
  const agent = startAgent(folder)
  let onCommit = () => undefined
  const watch = await watchGenerations({ onGeneration: () => onCommit(), onMissed: () => onCommit() })
  try {
    await agent.hasSaid(/synced everything/)
    // What follows a start, such as a look at the tables, is not of a change.
    await sleep(5000)
    const before = processorOf(agent.pid)
    const commands = watchCommands(agent.pid)
    const took = []
    for (let change = 0; change < changes; change++) {
      const index = (change * 7919) % services
      const generation = 1 + (Math.floor((change * 7919) / services) % 4)
      const committed = new Promise((resolve) => (onCommit = resolve))
      const from = performance.now()
      await server.call('put', sliceOf(index, { endpoints, generation }))
      const inTime = await Promise.race([committed.then(() => true), sleep(30_000, false)])
      took.push(performance.now() - from)
      if (!inTime) say(`change ${change}: no commit in 30 s`)
      if (took.at(-1) > 1000)
        say(`change ${change}: ${took.at(-1).toFixed(0)} ms; the agent said:\n${agent.said().slice(-500)}`)
      // A sync is more than one commit where both tables change; this one is over by then.
      await sleep(50)
    }
    const after = processorOf(agent.pid)
    const sorted = took.toSorted((a, b) => a - b)
    const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(0)
    const each = (name) => ((after[name] - before[name]) / changes).toFixed(0)
    const { rss, peak } = memoryOf(agent.pid)
    return `| ${services} | ${at(0.5)}, ${at(0.99)}, ${at(1)} | ${each('own')} | ${each('commands')} | ${rss}, ${peak} | ${commands.end()} |`
  } finally {
    watch.close()
    await agent.stop()
    server.kill()
    rmSync(folder, { recursive: true })
    execFileSync('nft', ['flush', 'ruleset'])
  }
}

function startAgent(folder) {
  const place = [
    '--kubeconfig',
    join(folder, 'kubeconfig'),
    '--log',
    join(folder, 'log.db'),
    '--hostname-override',
    'node-a',
  ]
  const more = [
    '--cluster-cidr',
    '10.0.0.0/8',
    '--conntrack-max-per-core',
    '0',
    '--family',
    'ipv4',
    '--iptables-variant',
    'nft',
  ]
  const argv = [values.command, 'run', ...place, ...more, '--iptables-min-sync-period', '0']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  const ended = new Promise((resolve) => child.on('close', resolve))
  return {
    pid: child.pid,
    said: () => said,
    async hasSaid(line) {
      for (let waited = 0; !line.test(said); waited += 20) {
        if (waited > 180_000 || child.exitCode !== null) throw new Error(`the agent has not said ${line}:\n${said}`)
        await sleep(20)
      }
    },
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Milliseconds of a processor that a process has used, and that its children have that have ended. */
function processorOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system, childUser, childSystem] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number)
  return { own: (user + system) * 10, commands: (childUser + childSystem) * 10 }
}

/** The most memory, in MB, that commands of a process were seen to have; a look every 5 ms. */
function watchCommands(pid) {
  let most = 0
  const timer = setInterval(() => {
    try {
      for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')) {
        if (child !== '') most = Math.max(most, memoryOf(child).peak || 0)
      }
    } catch {
      // It has ended in between.
    }
  }, 5)
  return {
    end() {
      clearInterval(timer)
      return most
    },
  }
}
