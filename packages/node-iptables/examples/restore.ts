import { createIptables, IptablesError } from 'node-iptables'

const iptables = await createIptables({ family: 'IPv4' })
const text = `*nat
:WEB - [0:0]
-A WEB -p tcp --dport 80 -j RETURN
COMMIT
*filter
:WEB - [0:0]
-A WEB -p tcp --dport 80 -j ACCEPT
-A WEB -p tcp --dport no-such-port -j ACCEPT
COMMIT
`
try {
  await iptables.restore({ text, flush: false, counters: false })
} catch (error) {
  if (!(error instanceof IptablesError)) throw error
  console.log(error.code, error.restore?.line.number, error.restore?.line.text)
  for (const { number, text } of error.restore?.neighbours ?? []) console.log(number, text)
}
// -> BAD_ARGUMENT 8 -A WEB -p tcp --dport no-such-port -j ACCEPT
// -> 6 :WEB - [0:0]
// -> 7 -A WEB -p tcp --dport 80 -j ACCEPT
// -> 9 COMMIT

// The first COMMIT took effect; of the second table nothing did.
for (const table of ['nat', 'filter']) console.log(table, await iptables.hasChain({ table, chain: 'WEB' }))
// -> nat true
// -> filter false

// One table of the text alone, emptied first.
await iptables.restore({ text, tables: ['nat'], flush: true, counters: false })
console.log((await iptables.save({ table: 'nat' })).includes('-A WEB -p tcp -m tcp --dport 80 -j RETURN'))
// -> true
