import type { Rule } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import type { RulesetContext } from './context.js'
import { forwardRules } from './forward-rules.js'
import { JUMPS } from './jump-rules.js'
import { markMasqRules, postroutingRules } from './masquerade-rules.js'
import { martianRules } from './martian-rules.js'
import { nodePortDispatchRules } from './node-port-dispatch.js'
import { TABLES, type BaseChain, type BaseRules, type Table } from './ruleset.js'

/** The chains and rules that are there whatever services there are. */
export function planBase(context: RulesetContext): BaseRules {
  return {
    chains: [
      dispatch('filter', CHAINS.services),
      dispatch('filter', CHAINS.externalServices),
      dispatch('filter', CHAINS.nodePorts),
      dispatch('filter', CHAINS.proxyFirewall),
      fixed('filter', CHAINS.forward, forwardRules(context)),
      { table: 'filter', chain: CHAINS.firewall, role: 'kubelet', first: martianRules(context), last: [] },
      dispatch('nat', CHAINS.services, nodePortDispatchRules(context)),
      dispatch('nat', CHAINS.nodePorts),
      fixed('nat', CHAINS.postrouting, postroutingRules(context)),
      fixed('nat', CHAINS.markMasq, markMasqRules(context)),
      ...TABLES.map((table): BaseChain => ({ table, chain: CHAINS.canary, role: 'canary', first: [], last: [] })),
    ],
    jumps: JUMPS,
  }
}

const dispatch = (table: Table, chain: string, last: readonly Rule[] = []): BaseChain => ({
  table,
  chain,
  role: 'dispatch',
  first: [],
  last,
})

const fixed = (table: Table, chain: string, first: readonly Rule[]): BaseChain => ({
  table,
  chain,
  role: 'fixed',
  first,
  last: [],
})
