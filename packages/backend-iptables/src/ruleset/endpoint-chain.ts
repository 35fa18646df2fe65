import type { Endpoint } from '@pointsman/core'
import { addressOf, type Rule } from 'node-iptables'
import { CHAINS, endpointChainName } from './chain-names.js'
import { anyPort, comment, from, jumpTo, protocolOf } from './matches.js'
import type { PortPlan } from './port-plan.js'
import { remember } from './session-affinity.js'
import type { ChainRules } from './ruleset.js'

/** KUBE-SEP-: gives packets to one endpoint. */
export function endpointChain({ port, name, context }: PortPlan, endpoint: Endpoint): ChainRules {
  const chain = endpointChainName(port, endpoint)
  const named = context.endpointComments ? [comment(name)] : []
  const remembered = port.affinitySeconds === 0 ? [] : [remember(chain, context.family)]
  return {
    table: 'nat',
    chain,
    rules: [
      // An endpoint that reaches itself by its service would see its own address, and answer to itself: hairpin.
      { ...from(endpoint.address), matches: named, target: jumpTo(CHAINS.markMasq) },
      {
        ...protocolOf(port.protocol),
        matches: [...named, ...remembered, anyPort(port.protocol)],
        target: { type: 'DNAT', to: place(endpoint), random: false, persistent: false },
      } satisfies Rule,
    ],
  }
}

/** In the kernel's spelling, which differs from Kubernetes' for some IPv6 addresses. */
function place({ address, port }: Endpoint): string {
  if (!address.includes(':')) return `${address}:${port}`
  const spelt = addressOf(address)
  if (spelt === undefined) throw new Error(`not an address: ${JSON.stringify(address)}`)
  return `[${spelt}]:${port}`
}
