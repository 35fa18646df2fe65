import { createIptables } from 'node-iptables'

const iptables = await createIptables({ family: 'IPv4' })

function* lines() {
  yield '*filter'
  yield ':BLOCKED - [0:0]'
  for (let at = 0; at < 5000; at++) yield `-A BLOCKED -s 198.18.${at >> 8}.${at & 255} -j DROP`
  yield 'COMMIT'
}
await iptables.restore({ lines, flush: false, counters: false })

let count = 0
for await (const line of iptables.saveLines({ table: 'filter' })) if (line.startsWith('-A BLOCKED')) count++
console.log(count)
// -> 5000
