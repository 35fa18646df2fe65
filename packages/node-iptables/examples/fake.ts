import type { Iptables, IptablesError } from 'node-iptables'
import { createFakeIptables } from 'node-iptables/fake'

/** What is under test takes its iptables as a parameter. */
async function closePort(iptables: Iptables, port: number): Promise<void> {
  const lines = ['*filter', ':CLOSED - [0:0]', `-A CLOSED -p tcp --dport ${port} -j REJECT`, 'COMMIT']
  await iptables.restore({ lines, flush: false, counters: false })
}

const iptables = createFakeIptables({ family: 'IPv4', variant: 'nft' })
await closePort(iptables, 25)
console.log(iptables.text('filter').split('\n').slice(-4))
// -> [
// ->   ':CLOSED - [0:0]',
// ->   '-A CLOSED -p tcp -m tcp --dport 25 -j REJECT --reject-with icmp-port-unreachable',
// ->   'COMMIT',
// ->   ''
// -> ]

// The next restore fails.
iptables.failNext({ failure: 'LOCK_HELD', program: 'restore' })
await closePort(iptables, 26).catch((error: IptablesError) =>
  console.log(error.code, iptables.text().includes('--dport 26')),
)
// -> LOCK_HELD false

// The next restore does all that it should, and fails.
iptables.failNext({ failure: 'TIMED_OUT', program: 'restore', applied: 'all' })
await closePort(iptables, 27).catch((error: IptablesError) =>
  console.log(error.code, iptables.text().includes('--dport 27')),
)
// -> TIMED_OUT true

// Somebody else changes something.
iptables.change('*filter\n-F CLOSED\n-X CLOSED\nCOMMIT\n')
console.log(await iptables.hasChain({ table: 'filter', chain: 'CLOSED' }))
// -> false

for (const { program, commits, exitCode } of iptables.calls) console.log(program, commits, exitCode)
// -> restore 1 0
// -> restore 0 4
// -> restore 1 null
// -> iptables 0 1
