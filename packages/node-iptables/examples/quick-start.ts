import { createIptables } from 'node-iptables'

const iptables = await createIptables({ family: 'IPv4' })
const blocked = { table: 'filter', chain: 'BLOCKED' }
await iptables.ensureChain(blocked)
await iptables.ensureRule({ ...blocked, position: 'append', rule: ['-s', '203.0.113.7', '-j', 'DROP'] })
await iptables.ensureRule({ table: 'filter', chain: 'INPUT', position: 'prepend', rule: ['-j', 'BLOCKED'] })

for await (const line of iptables.saveLines({ table: 'filter' })) {
  if (line.startsWith('-A')) console.log(line)
}
// -> -A INPUT -j BLOCKED
// -> -A BLOCKED -s 203.0.113.7/32 -j DROP
