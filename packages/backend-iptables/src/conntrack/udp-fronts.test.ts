import { frontKey } from '@pointsman/core'
import { service, slice } from '@pointsman/core/testing'
import { expect, test } from 'vitest'
import { udpFrontsOf } from './udp-fronts.js'

test('a history of objects gives each UDP front that there ever was, once', () => {
  const dns = { name: 'dns', protocol: 'UDP', port: 53 }
  const web = { name: 'web', protocol: 'TCP', port: 80 }
  const fronts = udpFrontsOf([
    service({ name: 'dns', spec: { clusterIP: '10.96.0.10', ports: [dns, web] } }),
    service({ name: 'dns', spec: { clusterIP: '10.96.0.10', ports: [dns], externalIPs: ['203.0.113.1'] } }),
    service({
      name: 'dns',
      spec: { type: 'NodePort', clusterIP: '10.96.0.11', ports: [{ ...dns, nodePort: 30_053 }] },
    }),
    service({ name: 'web', spec: { clusterIP: '10.96.0.12', ports: [web] } }),
    service({ name: 'headless', spec: { clusterIP: 'None', clusterIPs: ['None'], ports: [dns] } }),
    slice({ name: 'dns-1', service: 'dns', endpoints: ['10.244.1.5'], ports: [dns] }),
  ])
  expect(fronts.map(frontKey)).toEqual([
    'UDP 10.96.0.10 53',
    'UDP 203.0.113.1 53',
    'UDP 10.96.0.11 53',
    'UDP node IPv4 30053',
  ])
})
