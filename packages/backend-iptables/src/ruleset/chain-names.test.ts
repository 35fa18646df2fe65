import { servicePortOf } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import { CHAINS, endpointChainName, isServiceChain, serviceChainNames } from './chain-names.js'

const LB = servicePortOf({ is: 'default/lb:p80', clusterIP: '10.96.8.8' })

describe('the chains of a service port', () => {
  it("are called as kube-proxy calls them: by the hash of the Service's and the port's name and the protocol", () => {
    expect(serviceChainNames(LB)).toEqual({
      cluster: 'KUBE-SVC-ULFSZB4ZNLMYB6HN',
      local: 'KUBE-SVL-ULFSZB4ZNLMYB6HN',
      external: 'KUBE-EXT-ULFSZB4ZNLMYB6HN',
      firewall: 'KUBE-FW-ULFSZB4ZNLMYB6HN',
    })
    expect(endpointChainName(LB, { address: '10.244.1.31', port: 80 })).toBe('KUBE-SEP-AZZAQHKMOZ72I4QT')
  })

  it('are called the same in both families, where IPv6 endpoints have brackets', () => {
    const dual = servicePortOf({ is: 'default/dual:http', clusterIP: 'fd00:10:96::1616' })
    expect(serviceChainNames(dual).cluster).toBe('KUBE-SVC-FWEJ5PXIIDWNU55J')
    expect(endpointChainName(dual, { address: 'fd00:10:244:1::101', port: 8080 })).toBe('KUBE-SEP-SE5TJWABB7S5NIZN')
  })

  it.each([
    ['another namespace', { is: 'other/lb:p80' }],
    ['another name', { is: 'default/lc:p80' }],
    ['another port name', { is: 'default/lb:p81' }],
    ['no port name', { is: 'default/lb' }],
    ['another protocol', { protocol: 'UDP' as const }],
  ])('differ for %s', (_, other) => {
    const port = servicePortOf({ is: 'default/lb:p80', clusterIP: '10.96.8.8', ...other })
    expect(serviceChainNames(port).cluster).not.toBe(serviceChainNames(LB).cluster)
  })

  it('have names that iptables takes: 28 characters at most', () => {
    const longest = servicePortOf({
      is: `${'n'.repeat(63)}/${'s'.repeat(63)}:${'p'.repeat(15)}`,
      clusterIP: '10.96.8.8',
    })
    for (const name of Object.values(serviceChainNames(longest)) as readonly string[]) {
      expect(name.length).toBeLessThanOrEqual(28)
    }
  })
})

describe('a chain that is deleted when its service is gone', () => {
  it.each(['KUBE-SVC-A', 'KUBE-SVL-A', 'KUBE-EXT-A', 'KUBE-XLB-A', 'KUBE-FW-A', 'KUBE-SEP-A'])('%s', (chain) => {
    expect(isServiceChain(chain)).toBe(true)
  })

  const others = [
    'DOCKER',
    'KUBE-MARK-DROP',
    'KUBE-HOSTPORTS',
    'KUBE-HP-A',
    'KUBE-KUBELET-CANARY',
    'MY-KUBE-SVC-A',
    'KUBE-IPVS-FILTER',
  ]
  it.each([...Object.values(CHAINS), ...others])('is not %s', (chain) => {
    expect(isServiceChain(chain)).toBe(false)
  })
})
