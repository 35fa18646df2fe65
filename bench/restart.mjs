// node bench/restart.mjs [--services 10000] [--endpoints 5] [--runs 3]   (root; `tsc -b` and scripts/bundle.mjs must have been run)
//
// `pointsman run` in a network namespace of its own beside the test API server: from nothing, then started again with its rules in place,
// again after another program has committed to nf_tables. Medians of the time from the start of the process to its line that the rules of the
// log are in force, and to its "synced" line, each with the processor time until then (the agent, user and system, and its children that have
// ended), which tells more on a machine that others use; what was in memory; a flush.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { node } from '@pointsman/core/testing'
import { memoryOf, serviceOf, sliceOf, startServer } from './agent-support.mjs'
import { median, say } from './kernel-support.mjs'

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '10000' },
    endpoints: { type: 'string', default: '5' },
    runs: { type: 'string', default: '3' },
    command: { type: 'string', default: fileURLToPath(new URL('../packages/cli/bin/pointsman.mjs', import.meta.url)) },
    trace: { type: 'boolean', default: false },
  },
})
const [services, endpoints, runs] = [values.services, values.endpoints, values.runs].map(Number)
const namespace = `pointsman-restart-${process.pid}`
const inside = (...words) => execFileSync('ip', ['netns', 'exec', namespace, ...words], { encoding: 'utf8' })
const folder = mkdtempSync(join(tmpdir(), 'pointsman-restart-'))
const log = join(folder, 'log.db')

const children = new Set()
/** Of /proc: USER_HZ is 100 on every architecture that Node runs on. */
const TICK_MS = 10

/** The agent: resolves with the milliseconds from its start when it has said a line. */
function startAgent() {
  const startedAt = performance.now()
  const flags = ['--kubeconfig', join(folder, 'kubeconfig'), '--log', log, '--hostname-override', 'node-a']
  const more = ['--cluster-cidr', '10.0.0.0/8', '--conntrack-max-per-core', '0']
  const argv = ['netns', 'exec', namespace, process.execPath, values.command, 'run', ...flags, ...more]
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let said = ''
  const looks = new Set()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      said += text
      if (values.trace) say(`${(performance.now() - startedAt).toFixed(0).padStart(6)} ${text.trimEnd().slice(0, 200)}`)
      for (const look of looks) look()
    })
  }
  const ended = new Promise((resolve) => child.on('close', resolve))
  /** Milliseconds of processor time: of the agent, and of its children that have ended. */
  const processorMs = () => {
    const [, rest = ''] = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')
    const [user, system, usedUser, usedSystem] = rest.split(' ').slice(11, 15).map(Number)
    return { own: (user + system) * TICK_MS, children: (usedUser + usedSystem) * TICK_MS }
  }
  const hasSaid = (line) =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!line.test(said)) return
        looks.delete(look)
        resolve({ ms: performance.now() - startedAt, ...processorMs() })
      }
      looks.add(look)
      void ended.then(() => reject(new Error(`the agent ended:\n${said}`)))
      setTimeout(() => reject(new Error(`the agent has not said ${line}:\n${said}`)), 180_000).unref()
      look()
    })
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal)
    await ended
    children.delete(child)
  }
  const memory = () => memoryOf(child.pid)
  const childrenMemory = () => {
    const pids = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).split('\n')
    return pids.flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        if (!/^(nft|iptables|ip6tables)/.test(command)) return []
        const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
        return [`${command.slice(0, 30)} ${Math.round(Number(kb) / 1024)} MB`]
      } catch {
        return []
      }
    })
  }
  return { hasSaid, stop, memory, childrenMemory, said: () => said, forget: () => (said = '') }
}

const until = async (isSo, ms = 120_000) => {
  const from = performance.now()
  while (!isSo()) {
    if (performance.now() - from > ms) return undefined
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return performance.now() - from
}
const SYNCED = /synced everything/
const IN_FORCE = /are in force up to seq|synced everything/
const seconds = (ms) => (ms / 1000).toFixed(2)
const report = (name, moments) => {
  const numbers = moments.map(({ ms }) => ms)
  const used = moments.flatMap(({ own, children }) =>
    own === undefined ? [] : [`${seconds(own)} + ${seconds(children)}`],
  )
  const processor = used.length === 0 ? '' : `; processor, agent + children: ${used.join(', ')}`
  console.log(`${name.padEnd(52)} ${seconds(median(numbers))} s  (${numbers.map(seconds).join(', ')}${processor})`)
}

execFileSync('ip', ['netns', 'add', namespace])
let server
try {
  inside('ip', 'link', 'set', 'lo', 'up')
  server = startServer(['ip', 'netns', 'exec', namespace])
  await server.started
  writeFileSync(join(folder, 'kubeconfig'), await server.call('kubeconfig'))
  const numbers = Array.from({ length: services }, (_, index) => index)
  await server.call('putAll', [
    ...numbers.flatMap((index) => [serviceOf(index), sliceOf(index, { endpoints })]),
    node({ name: 'node-a' }),
  ])
  let agent = startAgent()
  report('from nothing', [await agent.hasSaid(SYNCED)])
  await new Promise((resolve) => setTimeout(resolve, 5000))
  say(`memory ${JSON.stringify(agent.memory())} children ${agent.childrenMemory().join(', ') || 'none'}`)

  const [untouchedSoon, untouched] = [[], []]
  for (let run = 0; run < runs; run++) {
    await agent.stop()
    agent = startAgent()
    untouchedSoon.push(await agent.hasSaid(IN_FORCE))
    untouched.push(await agent.hasSaid(SYNCED))
  }
  report('restart, nothing changed: rules in force', untouchedSoon)
  report('... synced', untouched)
  const [touchedSoon, touched] = [[], []]
  for (let run = 0; run < runs; run++) {
    await agent.stop()
    inside('nft', 'add', 'table', 'inet', `other${run}`)
    agent = startAgent()
    touchedSoon.push(await agent.hasSaid(IN_FORCE))
    touched.push(await agent.hasSaid(SYNCED))
  }
  report('restart, another program committed: rules in force', touchedSoon)
  report('... synced', touched)
  await new Promise((resolve) => setTimeout(resolve, 3000))
  say(`memory ${JSON.stringify(agent.memory())} children ${agent.childrenMemory().join(', ') || 'none'}`)

  const flushes = []
  for (let run = 0; run < runs; run++) {
    agent.forget()
    // The same chain is reported once a minute.
    inside('iptables-nft', '-t', 'nat', '-F', ['KUBE-POSTROUTING', 'KUBE-MARK-MASQ', 'KUBE-NODEPORTS'][run % 3])
    const ms = await until(() => /modified externally/.test(agent.said()))
    if (ms === undefined) say('a flush was not repaired in 120 s')
    else flushes.push({ ms })
    await new Promise((resolve) => setTimeout(resolve, 12_000))
  }
  if (flushes.length > 0) report('flush of a chain to its repair', flushes)
  say(`memory ${JSON.stringify(agent.memory())} children ${agent.childrenMemory().join(', ') || 'none'}`)
  await agent.stop()
} finally {
  for (const child of children) child.kill('SIGKILL')
  server?.kill()
  execFileSync('ip', ['netns', 'delete', namespace])
  rmSync(folder, { recursive: true })
}
process.exit(0)
