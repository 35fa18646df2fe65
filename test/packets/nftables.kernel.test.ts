import { test } from 'vitest'
import { describeWorlds, expectFates, type Worlds } from './describe-worlds.js'

const inWorlds = (worlds: Worlds): void => {
  test('reach every endpoint of a cluster IP, and are masqueraded where their answers would not come back', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-a', 'near-b', 'far-c'] }] })
    await expectFates(worlds, {
      'tcp near-b -> web:80': 'far-c near-a as sent, near-b as the node',
      'tcp client -> web:80': 'far-c near-a near-b as the node',
    })
  })

  test('to a port of a cluster IP that serves nothing, or has no endpoints, are refused', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-a'] }, { name: 'other', endpoints: [] }] })
    await expectFates(worlds, {
      'tcp client -> web:7777': 'refused',
      'tcp near-b -> web:7777': 'refused',
      'tcp client -> other:80': 'refused',
      'tcp node -> other:80': 'refused',
    })
  })

  test('to a node port are served on the node IP, and not on localhost', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }],
      config: { nodePortAddresses: 'primary' },
    })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'far-c near-b as the node',
      'tcp client -> node-2:30080': 'the node itself',
      'tcp localhost -> localhost:30080': 'the node itself',
    })
  })

  test('are dropped outside of the source ranges of a load balancer, before they are translated', async () => {
    await worlds.apply({
      services: [{ vips: ['vip'], sourceRanges: ['192.0.2.0/24', '2001:db8:c::/64'], endpoints: ['near-b'] }],
    })
    await expectFates(worlds, { 'tcp client -> vip:80': 'near-b as the node', 'tcp stranger -> vip:80': 'no answer' })
  })

  test('of external traffic policy Local keep their source, and without an endpoint here are dropped', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: ['near-a', 'far-c'] }],
    })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'near-a as sent',
      'tcp near-b -> node:30080': 'far-c near-a as sent',
      'tcp node -> node:30080': 'far-c near-a as the node',
    })
    await worlds.apply({ services: [{ nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: ['far-c'] }] })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'no answer',
      'tcp near-b -> node:30080': 'far-c as sent',
    })
  })
}

describeWorlds('packets in mode nftables', inWorlds, ['nft'], ['nftables'])
