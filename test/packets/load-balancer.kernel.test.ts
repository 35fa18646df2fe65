import { expect, test } from 'vitest'
import { describeWorlds, expectFates } from './describe-worlds.js'
import { addressOf, FAMILIES } from './names.js'
import { setPolicy } from './set-policy.js'

const CLIENTS = ['192.0.2.0/24', '2001:db8:c::/64'] as const

describeWorlds('packets to an external address', (worlds) => {
  test('reach every endpoint in the name of the node, by external IP and by load-balancer VIP', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, externalIPs: ['external'], vips: ['vip'], endpoints: ['near-b', 'far-c'] }],
    })
    await expectFates(worlds, {
      'tcp client -> external:80': 'far-c near-b as the node',
      'tcp node -> external:80': 'far-c near-b as the node',
      'tcp near-a -> external:80': 'far-c near-b as the node',
      'tcp client -> vip:80': 'far-c near-b as the node',
      'tcp node -> vip:80': 'far-c near-b as the node',
      'tcp near-a -> vip:80': 'far-c near-b as the node',
      'tcp near-b -> vip:80': 'far-c near-b as the node',
      'tcp client -> vip:30080': 'the internet',
    })
  })

  test('go out to the load balancer where it has the address for itself (ipMode Proxy)', async () => {
    await worlds.apply({ services: [{ nodePort: 30080, proxiedVips: ['proxied-vip'], endpoints: ['near-b'] }] })
    await expectFates(worlds, {
      'tcp client -> proxied-vip:80': 'the internet',
      'tcp near-a -> proxied-vip:80': 'the internet',
      'tcp node -> proxied-vip:80': 'the internet',
      'tcp client -> node:30080': 'near-b as the node',
    })
  })

  test('are refused where there are no endpoints, but go out from the node itself', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, externalIPs: ['external'], vips: ['vip'], endpoints: [] }],
    })
    await expectFates(worlds, {
      'tcp client -> external:80': 'refused',
      'tcp near-a -> external:80': 'refused',
      'tcp client -> vip:80': 'refused',
      'tcp near-a -> vip:80': 'refused',
      'tcp node -> vip:80': 'the internet',
    })
  })

  test('keep their source with policy Local, and reach pods of this node alone but from this node', async () => {
    await worlds.apply({
      services: [
        {
          nodePort: 30080,
          externalTrafficPolicy: 'Local',
          externalIPs: ['external'],
          vips: ['vip'],
          endpoints: ['near-b', 'far-c'],
        },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> external:80': 'near-b as sent',
      'tcp client -> vip:80': 'near-b as sent',
      'tcp near-a -> external:80': 'far-c near-b as sent',
      'tcp near-a -> vip:80': 'far-c near-b as sent',
      'tcp near-b -> vip:80': 'far-c as sent, near-b as the node',
      'tcp node -> vip:80': 'far-c near-b as the node',
      'tcp client -> web:80': 'far-c near-b as the node',
    })
  })

  test('get no answer with policy Local where the endpoints are elsewhere, but from this node', async () => {
    await worlds.apply({
      services: [
        {
          nodePort: 30080,
          externalTrafficPolicy: 'Local',
          externalIPs: ['external'],
          vips: ['vip'],
          endpoints: ['far-c'],
        },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> external:80': 'no answer',
      'tcp client -> vip:80': 'no answer',
      'tcp near-a -> vip:80': 'far-c as sent',
      'tcp node -> vip:80': 'far-c as the node',
    })
  })

  test('within the source ranges reach endpoints, others get no answer; node ports ask for no range', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, vips: ['vip'], sourceRanges: CLIENTS, endpoints: ['near-b', 'far-c'] }],
    })
    await expectFates(worlds, {
      'tcp client -> vip:80': 'far-c near-b as the node',
      'tcp stranger -> vip:80': 'no answer',
      'tcp near-a -> vip:80': 'no answer',
      'tcp node -> vip:80': 'far-c near-b as the node',
      'tcp stranger -> node:30080': 'far-c near-b as the node',
      'tcp stranger -> web:80': 'far-c near-b as the node',
    })
  })

  test('from the node get no answer where the ranges leave it out', async () => {
    await worlds.apply({
      services: [
        {
          vips: ['vip'],
          nodePort: 30080,
          sourceRanges: ['203.0.113.64/26', '2001:db8:bad::/48'],
          endpoints: ['near-b', 'far-c'],
        },
      ],
    })
    await expectFates(worlds, {
      'tcp stranger -> vip:80': 'far-c near-b as the node',
      'tcp client -> vip:80': 'no answer',
      'tcp node -> vip:80': 'no answer',
    })
  })

  test('within the source ranges keep their source with policy Local', async () => {
    await worlds.apply({
      services: [
        {
          nodePort: 30080,
          vips: ['vip'],
          externalTrafficPolicy: 'Local',
          sourceRanges: CLIENTS,
          endpoints: ['near-b', 'far-c'],
        },
        {
          name: 'other',
          nodePort: 30081,
          vips: ['external'],
          externalTrafficPolicy: 'Local',
          sourceRanges: CLIENTS,
          endpoints: ['far-c'],
        },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> vip:80': 'near-b as sent',
      'tcp stranger -> vip:80': 'no answer',
      'tcp node -> vip:80': 'far-c near-b as the node',
      'tcp client -> external:80': 'no answer',
    })
  })

  test('of source ranges that hold everything reach endpoints', async () => {
    await worlds.apply({
      services: [{ nodePort: 30080, vips: ['vip'], sourceRanges: ['0.0.0.0/0', '::/0'], endpoints: ['near-b'] }],
    })
    await expectFates(worlds, {
      'tcp stranger -> vip:80': 'near-b as the node',
      'tcp near-a -> vip:80': 'near-b as the node',
    })
  })

  test('from a node that has the address reach endpoints as the node does', async () => {
    const both = FAMILIES.map((family) => addressOf('vip', family))
    for (const { network } of worlds.all)
      for (const vip of both) network.run('node', 'ip', 'addr', 'add', vip, 'dev', 'lo')
    try {
      const service = { nodePort: 30080, vips: ['vip'], endpoints: ['near-b', 'far-c'] } as const
      await worlds.apply({ services: [{ ...service, sourceRanges: CLIENTS }] })
      await expectFates(worlds, {
        'tcp vip -> vip:80': 'far-c near-b as the node',
        'tcp client -> vip:80': 'far-c near-b as the node',
        'tcp stranger -> vip:80': 'no answer',
      })
    } finally {
      for (const { network } of worlds.all) {
        for (const vip of both) network.run('node', 'ip', 'addr', 'del', vip, 'dev', 'lo')
      }
    }
  })

  test('of two Services that share it go to the older one, and to the other where that has no endpoints', async () => {
    const older = { nodePort: 30080, vips: ['vip'] } as const
    const younger = { name: 'other', vips: ['vip'], nodePort: 30081, endpoints: ['far-c'], createdAt: LATER } as const
    await worlds.apply({ services: [younger, { ...older, endpoints: ['near-a', 'near-b'] }] })
    await expectFates(worlds, { 'tcp client -> vip:80': 'near-a near-b as the node' })
    await worlds.apply({ services: [younger, { ...older, endpoints: [] }] })
    await expectFates(worlds, { 'tcp client -> vip:80': 'far-c as the node' })
  })

  test('for health checks are let in with and without endpoints, though the policy of INPUT is to drop', async () => {
    await setPolicy(worlds, 'INPUT', 'DROP')
    for (const endpoints of [['near-a'], ['far-c']] as const) {
      await worlds.apply({
        services: [{ nodePort: 30080, vips: ['vip'], externalTrafficPolicy: 'Local', endpoints }],
      })
      await expectFates(worlds, {
        'tcp client -> node:32000': 'the node itself',
        'tcp stranger -> node-2:32000': 'the node itself',
      })
    }
    // It is the policy, then, that keeps others out.
    await worlds.apply({ services: [{ nodePort: 30080, endpoints: [] }] })
    const outcomes = await Promise.all(
      worlds.all.flatMap((world) =>
        FAMILIES.map((family) => world.send('tcp client -> node:32000', { family, patienceMs: 500 })),
      ),
    )
    expect(outcomes.flat().map(({ type }) => type)).toEqual(['no-answer', 'no-answer', 'no-answer', 'no-answer'])
    await setPolicy(worlds, 'INPUT', 'ACCEPT')
  })
})

const LATER = '2026-02-02T00:00:00Z'
