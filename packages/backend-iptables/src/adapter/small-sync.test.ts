import { DEFAULT_PROXY_CONFIG, type Seq, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { createFakeIptables } from 'node-iptables/fake'
import { describe, expect, it } from 'vitest'
import { createIptablesBackend } from './iptables-backend.js'

const ADDRESS = '203.0.113.9'

const withAddresses = (addresses: {
  readonly externalIPs: readonly string[]
  readonly loadBalancerVIPs: readonly string[]
}): State =>
  stateOf({ ports: [{ is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: [], ...addresses }], node: {} })

describe('a small sync', () => {
  it('takes out one of two equal rules when a service has an address once that it had twice', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    const rules = async (state: State, at: Seq): Promise<number> => {
      const changed = at === 1 ? 'all' : state.services
      const names = changed === 'all' ? 'all' : new Set(changed.keys())
      await backend.sync({ state, changed: names, fromSeq: at, toSeq: at }, new AbortController().signal)
      return fake.text().split(ADDRESS).length - 1
    }
    expect(await rules(withAddresses({ externalIPs: [ADDRESS], loadBalancerVIPs: [ADDRESS] }), seq(1))).toBe(2)
    expect(await rules(withAddresses({ externalIPs: [], loadBalancerVIPs: [ADDRESS] }), seq(2))).toBe(1)
    expect(await rules(withAddresses({ externalIPs: [ADDRESS], loadBalancerVIPs: [ADDRESS] }), seq(3))).toBe(2)
    expect(await rules(withAddresses({ externalIPs: [], loadBalancerVIPs: [] }), seq(4))).toBe(0)
  })
})
