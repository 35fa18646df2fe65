#!/usr/bin/env node
// compare-nft.mjs EXPECTED ACTUAL: do two listings of a table (nft -j list table) mean the same? Prints what differs; exit 0 same,
// 1 different, 2 cannot be read. Handles, counters' values, metainfo and order of declaration do not count; rules of a chain are compared
// in order; elements of sets and maps as sets; the members of an anonymous map that numgen picks from as a multiset of targets.
import fs from 'node:fs'
const canonical = (v) =>
  Array.isArray(v)
    ? v.map(canonical)
    : v && typeof v === 'object'
      ? Object.fromEntries(
          Object.keys(v)
            .sort()
            .filter((k) => k !== 'handle')
            .map((k) => [k, canonical(v[k])]),
        )
      : v
const text = (v) => JSON.stringify(canonical(v))
const number = (v) => (typeof v === 'string' && /^(0x[0-9a-f]+|\d+)$/i.test(v) ? Number(v) : v)
/** numgen random mod N map { 0 : a, 1 : b }: which number an endpoint has is nobody's business. */
const rule = (expr) =>
  JSON.stringify(canonical(expr), (k, v) => {
    if (v && typeof v === 'object' && v.counter !== undefined) return { counter: null }
    if (v?.map?.key?.numgen && v.map.data?.set)
      return { map: { key: v.map.key, data: { set: v.map.data.set.map(([, target]) => text(target)).sort() } } }
    if (v?.vmap?.key?.numgen && v.vmap.data?.set)
      return { vmap: { key: v.vmap.key, data: { set: v.vmap.data.set.map(([, target]) => text(target)).sort() } } }
    return v
  })
const element = (e) => {
  if (e?.elem && typeof e.elem === 'object') {
    const { expires, counter, handle, ...kept } = e.elem
    return text(kept.timeout === undefined && kept.comment === undefined ? kept.val : kept)
  }
  return text(e)
}
function read(listing) {
  const table = new Map()
  for (const item of JSON.parse(listing).nftables) {
    const [kind, v] = Object.entries(item)[0]
    if (kind === 'metainfo') continue
    const at = (k, name) => {
      const key = `${k} ${name}`
      if (!table.has(key)) table.set(key, { head: undefined, rules: [], elements: new Set() })
      return table.get(key)
    }
    if (kind === 'table') at('table', v.name).head = text({ comment: v.comment, flags: v.flags })
    else if (kind === 'chain')
      at('chain', v.name).head = text({
        type: v.type,
        hook: v.hook,
        prio: number(v.prio),
        policy: v.policy,
        comment: v.comment,
      })
    else if (kind === 'rule') at('chain', v.chain).rules.push(rule({ expr: v.expr, comment: v.comment }))
    else if (kind === 'set' || kind === 'map') {
      const entry = at(kind, v.name)
      entry.head = text({ type: v.type, map: v.map, flags: v.flags, timeout: v.timeout, comment: v.comment })
      for (const e of v.elem ?? [])
        entry.elements.add(
          kind === 'map' && Array.isArray(e) && e.length === 2 ? `${element(e[0])} : ${text(e[1])}` : element(e),
        )
    } else at(kind, v.name ?? '').head = text(v)
  }
  return table
}
/** What differs between two listings, by chain, set and map. */
export function compare(expected, actual) {
  const want = read(expected),
    have = read(actual)
  const found = []
  for (const name of new Set([...want.keys(), ...have.keys()])) {
    const a = want.get(name),
      b = have.get(name)
    if (!b) {
      found.push({ name, problem: 'missing' })
      continue
    }
    if (!a) {
      found.push({ name, problem: 'extra' })
      continue
    }
    if (a.head !== b.head) found.push({ name, problem: 'declared otherwise', expected: a.head, actual: b.head })
    if (text(a.rules) !== text(b.rules))
      found.push({
        name,
        problem: 'rules differ',
        missing: a.rules.filter((r) => !b.rules.includes(r)),
        extra: b.rules.filter((r) => !a.rules.includes(r)),
      })
    const missing = [...a.elements].filter((e) => !b.elements.has(e)),
      extra = [...b.elements].filter((e) => !a.elements.has(e))
    if (missing.length + extra.length > 0) found.push({ name, problem: 'elements differ', missing, extra })
  }
  return found
}

if (import.meta.url === `file://${process.argv[1]}`) {
  let found
  try {
    found = compare(...process.argv.slice(2, 4).map((file) => fs.readFileSync(file, 'utf8')))
  } catch (error) {
    console.error(`cannot read: ${error.message}`)
    process.exit(2)
  }
  if (found.length > 0) console.log(JSON.stringify(found, null, 1))
  console.log(found.length === 0 ? 'same' : `${found.length} of chains, sets and maps differ`)
  process.exit(found.length === 0 ? 0 : 1)
}
