// npm run bench:kernel [-- --services 1000,2000,5000,10000] [--variants nft,legacy] [--rounds N] [--curves]   (root)
//
// What the iptables backend costs in a kernel, in network namespaces of its own: each figure beside the restore that
// kube-proxy 1.36 would have sent for the same change, as a file, restored by plain `iptables-restore --noflush --counters`,
// and beside one bare restore of all rules. Both leave equal rules, which is checked. Nothing here passes or fails. At the end,
// what a process that does this needs of memory. `--curves`: kernel-curves.mjs instead.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { auditTables, readTables, renderSave } from '@pointsman/backend-iptables'
import { changedBetween } from '@pointsman/core/testing'
import { showCurves } from './kernel-curves.mjs'
import {
  ENDPOINTS,
  median,
  Namespace,
  requestFor as request,
  rulesetOf,
  say,
  signal,
  stateWith,
  stateWithout,
  textOf,
  timed,
} from './kernel-support.mjs'

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '1000,2000,5000,10000' },
    variants: { type: 'string', default: 'nft,legacy' },
    rounds: { type: 'string', default: '3' },
    // One bare restore is quadratic on nft: beyond this many services it is left out.
    'bare-up-to': { type: 'string', default: '5000' },
    curves: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const directory = mkdtempSync(join(tmpdir(), 'pointsman-bench-'))

/** The chains that service ports have of their own; of all of them, or of those that changed. */
const ownChains = ({ services }, changed) =>
  new Set(services.filter(({ owner }) => changed.has(owner)).flatMap(({ chains }) => chains.map(({ chain }) => chain)))

/**
 * What kube-proxy 1.36 sends for a change: its shared chains whole, the chains of the services that changed, and the
 * deletion of those that are gone.
 */
function kubeProxyInput({ from, to, changed }) {
  const ruleset = rulesetOf(to)
  const shared = new Set(ruleset.base.chains.map(({ chain }) => chain).filter((chain) => chain !== 'KUBE-PROXY-CANARY'))
  const own = ownChains(ruleset, changed)
  const gone = [...ownChains(rulesetOf(from), changed)].filter((chain) => !own.has(chain))
  const lines = []
  let table = ''
  for (const line of renderSave(ruleset)) {
    if (line.startsWith('*')) table = line
    const chain = /^(?::|-A )(\S+)/.exec(line)?.[1]
    if (line === 'COMMIT' && table === '*nat') lines.push(...gone.map((name) => `-X ${name}`))
    if (chain === undefined || shared.has(chain) || own.has(chain)) lines.push(line)
    if (line === '*nat') lines.push(...gone.map((name) => `:${name} - [0:0]`))
  }
  return textOf(lines)
}

const rows = []
function add(what, { ours, kubeProxy, bare, note = '' }) {
  const ms = (value) => (value === undefined ? '' : value < 10 ? value.toFixed(1) : String(Math.round(value)))
  const ratio = (value) => (value === undefined ? '' : `${(value / ours).toFixed(1)} x`)
  const row = [what, ms(ours), ms(kubeProxy), ratio(kubeProxy), ms(bare), ratio(bare), note]
  rows.push(row)
  say(`  ${row.join(' | ')}`)
}

/** What is measured has to be the same work: the rules of both namespaces, read back. */
async function checkEqual(backend, beside, what) {
  const [ours, theirs] = [await backend.read(), await (await beside.backend()).read()]
  if (ours.digest !== theirs.digest) {
    throw new Error(`${what}: the rules differ, ${ours.rules} of ours and ${theirs.rules} beside`)
  }
}

async function measure(variant, count) {
  const base = stateWith(count)
  const namespace = new Namespace(variant)
  const beside = new Namespace(variant)
  const label = (what) => `${variant}, ${count}: ${what}`
  try {
    const iptables = await namespace.iptables()
    const backend = await namespace.backend()
    const wholeFile = join(directory, 'whole.txt')
    writeFileSync(wholeFile, textOf(renderSave(rulesetOf(base))))

    const fromNothing = await timed(() => backend.sync(request(base, 'all'), signal))
    const bareMs =
      variant === 'legacy' || count <= Number(values['bare-up-to'])
        ? (await timed(() => beside.restore(wholeFile))).ms
        : undefined
    add(label('from nothing'), {
      ours: fromNothing.ms,
      bare: bareMs,
      note: `${Math.round(fromNothing.result.bytes / 1e3)} kB`,
    })
    if (bareMs === undefined) {
      // The neighbour needs the rules as well, to be changed.
      await (await beside.backend()).sync(request(base, 'all'), signal)
    }

    const change = async (what, states) => {
      const ours = []
      const theirs = []
      let bytes = 0
      for (let round = 0; round < rounds; round++) {
        for (const [from, to] of [
          [states[0], states[1]],
          [states[1], states[0]],
        ]) {
          const changed = changedBetween(from, to)
          const file = join(directory, 'change.txt')
          writeFileSync(file, kubeProxyInput({ from, to, changed }))
          const { ms, result } = await timed(() => backend.sync(request(to, changed), signal))
          const other = (await timed(() => beside.restore(file))).ms
          if (to === states[1]) {
            ours.push(ms)
            theirs.push(other)
            bytes = result.bytes
          }
        }
      }
      add(label(what), { ours: median(ours), kubeProxy: median(theirs), note: `${bytes} bytes` })
      await checkEqual(backend, beside, label(what))
    }
    await change('one endpoint changed', [base, stateWith(count, (index) => (index === 7 ? 1 : 0))])
    await change('one service added', [base, stateWith(count + 1)])
    await change('one service removed', [base, stateWithout(count, 1)])
    await change('1 % changed at once', [base, stateWith(count, (index) => (index % 100 === 3 ? 1 : 0))])

    // What any commit costs that brings a rule into the nat table, however few and wherever: the least that a change can take.
    const leastFile = join(directory, 'least.txt')
    const least = []
    for (let round = 0; round < 2 * rounds; round++) {
      writeFileSync(leastFile, `*nat\n:LEAST-${round} - [0:0]\n-A LEAST-${round} -j RETURN\nCOMMIT\n`)
      least.push((await timed(() => beside.restore(leastFile))).ms)
    }
    add(label('one rule in a chain of its own, bare'), { ours: median(least) })

    const again = await namespace.backend()
    const restart = await timed(() => again.sync(request(base, 'all'), signal))
    add(label('restart with rules in place'), { ours: restart.ms, bare: bareMs, note: `${restart.result.bytes} bytes` })

    const chains = rulesetOf(base)
      .services.slice(0, 10)
      .map(({ chains: [first] }) => first.chain)
    await iptables.restore({
      text: `*nat\n${chains.map((chain) => `:${chain} - [0:0]`).join('\n')}\nCOMMIT\n`,
      flush: false,
      counters: false,
    })
    const drift = await timed(() => again.repairDrift(signal))
    add(label('10 emptied chains found and mended'), { ours: drift.ms, note: `${drift.result[0]?.bytes} bytes` })

    const audit = await timed(async () => {
      return auditTables(rulesetOf(base), await readTables(iptables.saveLines()))
    })
    add(label('audit'), { ours: audit.ms, note: `${audit.result.length} findings` })
    say(`  memory of this process: ${Math.round(process.memoryUsage().rss / 1e6)} MB`)
  } finally {
    namespace.remove()
    beside.remove()
  }
}

async function measureAll() {
  for (const variant of values.variants.split(',')) {
    for (const count of values.services.split(',').map(Number)) {
      say(`${variant}, ${count} services of ${ENDPOINTS} endpoints`)
      await measure(variant, count)
    }
  }
  const header = ['what', 'ms', "kube-proxy's restore, ms", '', 'bare restore of all, ms', '', '']
  for (const row of [header, header.map(() => '---'), ...rows]) process.stdout.write(`| ${row.join(' | ')} |\n`)
  const memory = fileURLToPath(new URL('sync-memory.mjs', import.meta.url))
  process.stdout.write(execFileSync(process.execPath, [memory], { encoding: 'utf8' }))
}

try {
  if (values.curves) await showCurves(values.services.split(',').map(Number), rounds)
  else await measureAll()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
