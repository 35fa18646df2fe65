import { createIptables, IptablesError } from 'node-iptables'

const iptables = await createIptables({ family: 'IPv6' })
const chain = { table: 'filter', chain: 'WEB' }
const shop = {
  ...chain,
  rule: ['-p', 'tcp', '--dport', '443', '-m', 'comment', '--comment', 'the shop', '-j', 'ACCEPT'],
}

console.log(await iptables.ensureChain(chain), await iptables.hasChain(chain))
// -> { existed: false } true
console.log(await iptables.ensureRule({ ...shop, position: 'append' }))
// -> { existed: false }
console.log(await iptables.ensureRule({ ...shop, position: 'append' }), await iptables.checkRule(shop))
// -> { existed: true } true

try {
  await iptables.deleteChain(chain)
} catch (error) {
  if (!(error instanceof IptablesError)) throw error
  console.log(error.code, error.argv.slice(-2))
}
// -> CHAIN_IN_USE [ '-X', 'WEB' ]

console.log(await iptables.deleteRule(shop), await iptables.deleteRule(shop))
// -> { existed: true } { existed: false }
await iptables.flushChain(chain)
await iptables.deleteChain(chain)
