// npm run bench:kernel -- --curves [--services 2000,5000] [--rounds N]   (root)
//
// The two choices of the iptables backend on nft, as curves: how many lines a restore may have, against the time of all of them;
// and how many changes of a chain that all services share cost what writing it anew costs. The best of the rounds each.
import { changedBetween } from '@pointsman/core/testing'
import { Namespace, requestFor, say, signal, stateWith, stateWithout, timed } from './kernel-support.mjs'

const LINES = [500, 1500, 3000, 6000, 12_000, 24_000]
const CHANGES = [1, 8, 32, 128, 512]
const WHOLE = { maxLines: 6000, rewriteAt: 0, deletionWeight: 1 }
const BY_RULE = { maxLines: 6000, rewriteAt: Number.MAX_SAFE_INTEGER, deletionWeight: 1 }

const show = (header, rows) => {
  for (const row of [header, header.map(() => '---'), ...rows]) process.stdout.write(`| ${row.join(' | ')} |\n`)
  process.stdout.write('\n')
}

export async function showCurves(counts, rounds) {
  const header = (first) => [first, ...counts.map((count) => `${count} services`)]
  show(
    header('lines of a restore'),
    await table(LINES, counts, async (maxLines, count) => {
      const ms = await repeated(rounds, () => fromNothing(count, { ...WHOLE, maxLines }))
      return `${(ms / 1000).toFixed(2)} s`
    }),
  )
  const columns = []
  for (const count of counts) columns.push(await crossover(count, rounds))
  for (const what of ['added', 'removed']) {
    show(
      header(`services ${what}: rule by rule, the chain anew, ms`),
      CHANGES.map((changes, row) => [changes, ...columns.map((column) => column[row][what])]),
    )
  }
}

async function table(keys, counts, cell) {
  const rows = []
  for (const key of keys) {
    const row = [key]
    for (const count of counts) row.push(await cell(key, count))
    say(`  ${row.join(' | ')}`)
    rows.push(row)
  }
  return rows
}

async function repeated(rounds, measure) {
  const all = []
  for (let round = 0; round < rounds; round++) all.push(await measure())
  return best(all)
}

async function fromNothing(count, limits) {
  const namespace = new Namespace('nft')
  try {
    const backend = await namespace.backend({ limits })
    const state = stateWith(count)
    return (await timed(() => backend.sync(requestFor(state, 'all'), signal))).ms
  } finally {
    namespace.remove()
  }
}

/** Services come and go, each way with a backend of its own on the same tables. */
async function crossover(count, rounds) {
  const namespace = new Namespace('nft')
  try {
    const base = stateWith(count)
    const backends = {
      byRule: await namespace.backend({ limits: BY_RULE }),
      whole: await namespace.backend({ limits: WHOLE }),
    }
    const rows = []
    // Others each time: what came last stands first in its chain, where it is found soonest.
    let first = 0
    for (const changes of CHANGES) {
      const ms = { added: {}, removed: {} }
      for (const [way, backend] of Object.entries(backends)) {
        await backend.sync(requestFor(base, 'all'), signal)
        const times = { added: [], removed: [] }
        for (let round = 0; round < rounds; round++) {
          const fewer = stateWithout(count, changes, first)
          first = (first + changes) % (count - CHANGES.at(-1))
          for (const [what, from, to] of [
            ['removed', base, fewer],
            ['added', fewer, base],
          ]) {
            const changed = changedBetween(from, to)
            times[what].push((await timed(() => backend.sync(requestFor(to, changed), signal))).ms)
          }
        }
        for (const what of ['added', 'removed']) ms[what][way] = Math.round(best(times[what]))
      }
      rows.push({ added: text(ms.added), removed: text(ms.removed) })
      say(`  ${count}: ${changes} added ${text(ms.added)}, removed ${text(ms.removed)}`)
    }
    return rows
  } finally {
    namespace.remove()
  }
}

// What else the machine does only ever makes it longer.
const best = (times) => Math.min(...times)

const text = ({ byRule, whole }) => `${byRule}, ${whole}`
