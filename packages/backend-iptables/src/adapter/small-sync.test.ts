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

  it('of one family is done whatever is wrong with the other', async () => {
    const state = stateOf({
      ports: [
        { is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: ['10.244.1.1:80@node-a'] },
        { is: 'shop/six:http', clusterIP: 'fd00:10:96::1', family: 'IPv6', endpoints: ['[fd00:10:244::1]:80@node-a'] },
      ],
      node: {},
    })
    const four = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const six = createFakeIptables({ family: 'IPv6', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [four, six] })
    four.failNext({ failure: 'LOCK_HELD', program: 'restore', applied: 0 })
    const request = { state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
    await expect(backend.sync(request, new AbortController().signal)).rejects.toMatchObject({ code: 'LOCK_HELD' })
    expect(six.text()).toContain('fd00:10:96::1')
  })

  it('exchanges an endpoint for one whose rules are as long', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    const served = async (endpoint: string, at: Seq): Promise<readonly string[]> => {
      const state = stateOf({
        ports: [{ is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: [endpoint] }],
        node: {},
      })
      const changed = at === 1 ? 'all' : new Set(state.services.keys())
      await backend.sync({ state, changed, fromSeq: at, toSeq: at }, new AbortController().signal)
      return [...fake.text().matchAll(/--to-destination (\S+)/g)].map(([, address]) => address ?? '')
    }
    expect(await served('10.244.1.1:80', seq(1))).toEqual(['10.244.1.1:80'])
    expect(await served('10.244.1.2:80', seq(2))).toEqual(['10.244.1.2:80'])
  })
})
