import { createIptables } from 'node-iptables'

// Somebody on this machine uses legacy, and shows it by a chain in mangle that is there for nothing else.
const other = await createIptables({ family: 'IPv4', variant: 'legacy' })
await other.ensureChain({ table: 'mangle', chain: 'FIREWALL-HINT' })

const iptables = await createIptables({
  family: 'IPv4',
  hints: { chains: ['FIREWALL-HINT'], prefix: 'FIREWALL-' },
})
console.log(iptables.capabilities.variant, iptables.choice)
// -> legacy { variant: 'legacy', because: 'hint chain', warning: undefined }
