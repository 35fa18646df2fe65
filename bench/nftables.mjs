// node bench/nftables.mjs [--services 1000,10000] [--layouts compact,kube-proxy] [--rounds 5] [--alone-up-to 10000]   (root; after `tsc -b`)
//
// What the nftables backend costs in a kernel, in network namespaces of its own: as the agent runs it, with elements over netlink, and
// with nft alone, for the same changes; "bare" is the time of the `nft -f` processes of the latter, and for all of the table that of
// one `nft -f` of the rendered text. Medians; in brackets processor time (user and system) of this process and its children. Nothing here passes or fails.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createNftablesBackend, openNetlink, openNft, planNftables } from '@pointsman/backend-nftables'
import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import { createWitness, runProcess } from 'node-iptables'
import { enterNetwork } from '../test/support/own-network.mjs'
import { ENDPOINTS, median, requestFor, say, signal, stateWith, stateWithout } from './kernel-support.mjs'

const { values } = parseArgs({
  options: {
    services: { type: 'string', default: '1000,10000' },
    layouts: { type: 'string', default: 'compact,kube-proxy' },
    rounds: { type: 'string', default: '5' },
    // Beyond this many services nft alone is left out.
    'alone-up-to': { type: 'string', default: '10000' },
  },
})
const rounds = Number(values.rounds)

/** Ticks of a hundredth of a second, of this process and of children that have ended. */
const processorMs = () => {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0)
}

async function timed(work) {
  const [began, used] = [performance.now(), processorMs()]
  const result = await work()
  return { ms: performance.now() - began, cpu: processorMs() - used, result }
}

/** The backend, with the time that its commits take: those of elements over netlink, and those of `nft -f`. */
async function openBackend({ layout, way, ...more }) {
  const spent = { netlink: 0, nft: 0 }
  const opened = await openNft({ run: runProcess })
  const netlink = way === 'netlink' ? await openNetlink() : undefined
  const within =
    (key, call) =>
    async (...args) => {
      const began = performance.now()
      try {
        return await call(...args)
      } finally {
        spent[key] += performance.now() - began
      }
    }
  const backend = createNftablesBackend({
    config: {
      ...DEFAULT_PROXY_CONFIG,
      mode: 'nftables',
      layout,
      nodePortAddresses: 'primary',
      detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.0.0.0/8'] },
    },
    families: ['IPv4'],
    nft: { ...opened, load: within('nft', opened.load) },
    netlink: netlink && { ...netlink, commitElements: within('netlink', netlink.commitElements) },
    ...more,
  })
  const syncTo = async (state, changed) => {
    spent.netlink = 0
    spent.nft = 0
    const { ms, cpu, result } = await timed(() =>
      backend.sync({ ...requestFor(state, changed), objects: 'objects' }, signal),
    )
    return { ms, cpu, result, ...spent }
  }
  return { backend, syncTo }
}

const inCommits = ({ netlink, nft }) => Number(netlink) + Number(nft)
const number = (ms) => (ms >= 100 ? ms.toFixed(0) : ms.toFixed(1))
function show(what, measured, of = (one) => one.ms) {
  const ms = median(measured.map(of))
  const spread =
    measured.length > 1 ? `, ${number(Math.min(...measured.map(of)))} to ${number(Math.max(...measured.map(of)))}` : ''
  console.log(
    `  ${what.padEnd(58)} ${number(ms).padStart(8)} ms  (processor ${number(median(measured.map(({ cpu }) => cpu)))}${spread})`,
  )
  return ms
}

async function measure({ services, layout, way }) {
  const network = enterNetwork()
  try {
    console.log(
      `${services} services of ${ENDPOINTS} endpoints, layout ${layout}, ${way === 'netlink' ? 'elements over netlink' : 'nft alone'}`,
    )
    const state = stateWith(services)
    const { backend, syncTo } = await openBackend({ layout, way })
    const first = await syncTo(state, 'all')
    show('from nothing', [first])
    console.log(
      `    of which commits over netlink ${number(first.netlink)} ms, nft ${number(first.nft)} ms; ${first.result.rules} rules and elements`,
    )
    const one = []
    let before = state
    for (let round = 1; round <= rounds * 3; round++) {
      const after = stateWith(services, (index) => (index === 7 ? round : 0))
      one.push(await syncTo(after, changedBetween(before, after)))
      before = after
    }
    show('one endpoint', one)
    console.log(`    of which the commit ${number(median(one.map(inCommits)))} ms`)
    const gone = stateWithout(services, 1, 3)
    /** @type {Awaited<ReturnType<typeof syncTo>>[]} */
    const removed = []
    /** @type {Awaited<ReturnType<typeof syncTo>>[]} */
    const added = []
    await syncTo(state, changedBetween(before, state))
    for (let round = 0; round < rounds; round++) {
      removed.push(await syncTo(gone, changedBetween(state, gone)))
      added.push(await syncTo(state, changedBetween(gone, state)))
    }
    show('a service goes', removed)
    console.log(`    of which commits ${number(median(removed.map(inCommits)))} ms`)
    show('a service comes', added)
    console.log(`    of which the commit ${number(median(added.map(inCommits)))} ms`)
    const reads = []
    for (let round = 0; round < Math.min(rounds, 3); round++) reads.push(await timed(() => backend.read()))
    show('read back', reads)
    const clean = []
    for (let round = 0; round < Math.min(rounds, 3); round++) clean.push(await timed(() => backend.repairDrift(signal)))
    show('look for drift, none there', clean)
    if (way === 'netlink') await measureRestart({ layout, state, backend })
    globalThis.gc?.()
    console.log(`    this process then: ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB resident`)
    await backend.close()
  } finally {
    network.leave()
  }
}

async function measureRestart({ layout, state, backend }) {
  const { id } = await (await openNetlink()).generation()
  const listening = () => {
    const witness = createWitness('boot')
    witness.listens({ type: 'listening', by: 'netlink', since: id })
    return witness
  }
  const { digest, mark } = await (async () => {
    const { syncTo } = await openBackend({ layout, way: 'netlink', witness: listening(), build: 'build' })
    return (await syncTo(state, 'all')).result
  })()
  const again = async (lastSync, build) => {
    const { syncTo } = await openBackend({ layout, way: 'netlink', witness: createWitness('boot'), build, lastSync })
    return syncTo(state, 'all')
  }
  const [unchanged, otherBuild, changed] = [[], [], []]
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    unchanged.push(await again({ digest, mark }, 'build'))
    otherBuild.push(await again({ digest, mark }, 'another build'))
  }
  execFileSync('nft', ['add', 'table', 'ip', 'other'])
  for (let round = 0; round < Math.min(rounds, 3); round++) changed.push(await again({ digest, mark }, 'build'))
  show('first sync of a new process, generation unchanged', unchanged)
  show('the same, by another build', otherBuild)
  show('first sync of a new process, generation changed', changed)
  await backend.close()
}

async function bare({ services, layout }) {
  const network = enterNetwork()
  try {
    const config = { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout, nodePortAddresses: 'primary' }
    const plan = planNftables({ state: stateWith(services), config }, { family: 'IPv4' })
    const input = [...plan.listing(plan.parts()), ''].join('\n')
    show(`bare nft -f of all of the table, ${services} services, layout ${layout}`, [
      await timed(async () => execFileSync('nft', ['-f', '-'], { input })),
    ])
    show('bare nft -s -j list table', [
      await timed(async () =>
        execFileSync('nft', ['-s', '-j', 'list', 'table', 'ip', 'kube-proxy'], { maxBuffer: 2 ** 30 }),
      ),
    ])
  } finally {
    network.leave()
  }
}

for (const services of values.services.split(',').map(Number)) {
  for (const layout of values.layouts.split(',')) {
    await measure({ services, layout, way: 'netlink' })
    if (services > Number(values['alone-up-to'])) continue
    await measure({ services, layout, way: 'nft' })
    await bare({ services, layout })
  }
}
say('times of a machine that others use: compare within one run')
