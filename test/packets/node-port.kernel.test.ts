import { expect, test } from 'vitest'
import { describeWorlds, expectFates } from './describe-worlds.js'
import { addressOf } from './names.js'
import { setPolicy } from './set-policy.js'

describeWorlds('packets to a node port', (worlds) => {
  test('reach every endpoint on each address of the node, in the name of the node', async () => {
    await worlds.apply({ services: [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }] })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'far-c near-b as the node',
      'tcp client -> node-2:30080': 'far-c near-b as the node',
      'tcp near-a -> node:30080': 'far-c near-b as the node',
      'tcp near-b -> node:30080': 'far-c near-b as the node',
      'tcp far-d -> node:30080': 'far-c near-b as the node',
      'tcp node -> node:30080': 'far-c near-b as the node',
      'tcp node -> node-2:30080': 'far-c near-b as the node',
      'tcp client -> node:7777': 'the node itself',
      'tcp client -> node:80': 'the node itself',
      'tcp client -> internet:30080': 'the internet',
    })
  })

  test('by UDP reach its endpoints', async () => {
    await worlds.apply({ services: [{ protocol: 'UDP', nodePort: 30080, endpoints: ['near-b', 'far-c'] }] })
    await expectFates(worlds, {
      'udp client -> node:30080': 'far-c near-b as the node',
      'udp node -> node:30080': 'far-c near-b as the node',
      'tcp client -> node:30080': 'the node itself',
    })
  })

  test('on localhost reach endpoints in IPv4 while localhostNodePorts are on, and the node itself otherwise', async () => {
    const services = [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }] as const
    await worlds.apply({ services })
    await expectFates(
      worlds,
      { 'tcp localhost -> localhost:30080': 'far-c near-b as the node' },
      { families: ['IPv4'] },
    )
    await expectFates(worlds, { 'tcp localhost -> localhost:30080': 'the node itself' }, { families: ['IPv6'] })
    await worlds.apply({ services, config: { localhostNodePorts: false } })
    await expectFates(worlds, { 'tcp localhost -> localhost:30080': 'the node itself' })
  })

  test('are refused without endpoints, also where a process of the node listens', async () => {
    await worlds.apply({ services: [{ nodePort: 30080, endpoints: [] }] })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'refused',
      'tcp near-a -> node:30080': 'refused',
      'tcp node -> node:30080': 'refused',
    })
  })

  test('keep their source with policy Local, and reach pods of this node alone but from this node', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: ['near-a', 'near-b', 'far-c'] }],
    })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'near-a near-b as sent',
      'tcp stranger -> node-2:30080': 'near-a near-b as sent',
      'tcp near-a -> node:30080': 'far-c near-b as sent, near-a as the node',
      'tcp node -> node:30080': 'far-c near-a near-b as the node',
    })
  })

  test('get no answer with policy Local where the endpoints are elsewhere, but from this node', async () => {
    await worlds.apply({ services: [{ nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: ['far-c'] }] })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'no answer',
      'tcp client -> node-2:30080': 'no answer',
      'tcp near-a -> node:30080': 'far-c as sent',
      'tcp node -> node:30080': 'far-c as the node',
    })
  })

  test('reach endpoints on the addresses of nodePortAddresses, and the node itself on others', async () => {
    const services = [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }] as const
    await worlds.apply({ services, config: { nodePortAddresses: 'primary' } })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'far-c near-b as the node',
      'tcp client -> node-2:30080': 'the node itself',
      'tcp localhost -> localhost:30080': 'the node itself',
    })
    await worlds.apply({ services, config: { nodePortAddresses: ['198.51.100.0/24', '2001:db8:1e::/64'] } })
    await expectFates(worlds, {
      'tcp client -> node:30080': 'the node itself',
      'tcp client -> node-2:30080': 'far-c near-b as the node',
      'tcp node -> node-2:30080': 'far-c near-b as the node',
    })
  })

  test('reach endpoints though the policy of FORWARD is to drop', async () => {
    await worlds.apply({ services: [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }] })
    await setPolicy(worlds, 'FORWARD', 'DROP')
    try {
      await expectFates(worlds, {
        'tcp client -> node:30080': 'far-c near-b as the node',
        'tcp client -> web:80': 'far-c near-b as the node',
      })
    } finally {
      await setPolicy(worlds, 'FORWARD', 'ACCEPT')
    }
  })

  test('on localhost reach endpoints from a neighbour that routes it here, but nothing else of the node (CVE-2020-8558)', async () => {
    for (const { network } of worlds.all) network.run('client', 'sh', '-c', LOCALHOST_BY_NODE.join('\n'))
    await worlds.apply({ services: [{ nodePort: 30080, endpoints: ['near-b', 'far-c'] }] })
    await expectFates(
      worlds,
      {
        'tcp client -> localhost:30080': 'far-c near-b as the node',
        'tcp client -> localhost:7777': 'no answer',
        'tcp localhost -> localhost:7777': 'the node itself',
      },
      { families: ['IPv4'] },
    )
    // It is the guard, then, that keeps others out.
    for (const { variant, network, send } of worlds.all) {
      network.run('node', `iptables-${variant}`, '-F', 'KUBE-FIREWALL')
      expect(await send('tcp client -> localhost:7777', { family: 'IPv4' })).toMatchObject([{ host: 'node' }])
    }
  })
})

/** Makes a host believe that 127.0.0.1 is somewhere else, and take packets from there. */
const LOCALHOST_BY_NODE: readonly string[] = [
  'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet',
  'ip addr flush dev lo',
  `ip route add 127.0.0.1 via ${addressOf('node', 'IPv4')}`,
]
