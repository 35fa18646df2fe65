import { parseSaveLines, saveLinesOf, type Iptables, type Rule } from 'node-iptables'
import { createFakeIptables } from 'node-iptables/fake'

const isTemporary = ({ matches }: Rule): boolean =>
  matches.some((match) => match.type === 'comment' && match.comment.startsWith('temporary:'))

/** Removes the rules that carry a comment `temporary`. */
async function removeTemporary(iptables: Iptables): Promise<void> {
  const tables = await parseSaveLines(iptables.saveLines({ counters: true }))
  const kept = tables.map(({ table, chains }) => ({
    table,
    chains: chains.map((chain) => ({ ...chain, rules: chain.rules.filter(({ rule }) => !isTemporary(rule)) })),
  }))
  await iptables.restore({ lines: () => saveLinesOf(kept), flush: true, counters: true })
}

const iptables = createFakeIptables({ family: 'IPv4', variant: 'legacy' })
iptables.change(`*raw
-A PREROUTING -s 203.0.113.7 -m comment --comment "temporary: ticket 7" -j DROP
-A PREROUTING -s 203.0.113.9 -j DROP
COMMIT
`)
await removeTemporary(iptables)
console.log(iptables.text('raw'))
// -> *raw
// -> :PREROUTING ACCEPT [0:0]
// -> :OUTPUT ACCEPT [0:0]
// -> -A PREROUTING -s 203.0.113.9/32 -j DROP
// -> COMMIT
// ->
