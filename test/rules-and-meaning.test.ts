import { planRuleset, renderSave } from '@pointsman/backend-iptables'
import { route, type ProxyConfig, type State } from '@pointsman/core'
import fc from 'fast-check'
import { parseSave } from 'node-iptables'
import { expect, test } from 'vitest'
import { type AskedPacket, packetsTo, told, walked } from './support/asked-packets.js'
import { configArbitrary, optionsArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

/*
 * Two views of one thing that share no code: what the rules do to packets, and what Services mean. Each combination of
 * policies, addresses, endpoints and settings that the generators can make is held against the other view.
 */
test('the rules do to every packet what its Service means', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(), optionsArbitrary(), (state, config, options) => {
      const text = [...renderSave(planRuleset(state, config, options))].join('\n')
      const tables = parseSave(text)
      for (const packet of packetsTo(state, options.family)) {
        expect({ packet, fate: walked(packet, tables, state) }).toEqual({ packet, fate: meant(packet, state, config) })
      }
    }),
  )
})

function meant({ via, ...packet }: AskedPacket, state: State, config: ProxyConfig): readonly string[] {
  const { verdict, endpoints } = route(state, config, { ...packet, ...(via !== '' && { interface: via }) })
  if (verdict !== 'endpoints') return [verdict]
  return endpoints.map(({ address, port, odds, masqueraded }) => told({ address, port, odds, masqueraded })).toSorted()
}
