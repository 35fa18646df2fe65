import type { IpFamily } from '@pointsman/core'
import { expect, test } from 'vitest'
import { describeWorlds, expectFates } from './describe-worlds.js'
import type { World } from './world.js'

describeWorlds('packets to a cluster IP', (worlds) => {
  test('reach every endpoint, and those that no pod sends are masqueraded', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-b', 'far-c', 'far-d'] }] })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c far-d near-b as the node',
      'tcp node -> web:80': 'far-c far-d near-b as the node',
      'tcp near-a -> web:80': 'far-c far-d near-b as sent',
      'tcp client -> web:7777': 'the internet',
      'tcp near-a -> nobody:80': 'the internet',
    })
  })

  test('reach the port that the endpoints have, by UDP as well', async () => {
    await worlds.apply({
      services: [
        { name: 'web', protocol: 'UDP', endpoints: ['near-a', 'far-c'] },
        { name: 'other', protocol: 'UDP', targetPort: 9090, endpoints: ['near-a', 'near-b'] },
      ],
    })
    await expectFates(worlds, {
      'udp client -> web:80': 'far-c near-a as the node',
      'udp node -> web:80': 'far-c near-a as the node',
      'udp near-b -> web:80': 'far-c near-a as sent',
      'udp near-b -> other:80': 'near-a:9090 as sent, near-b:9090 as the node',
      'tcp near-b -> other:80': 'the internet',
    })
  })

  test('come back to the pod that sent them in the name of the node', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-a', 'far-c'] }, { name: 'other', endpoints: ['near-a'] }] })
    await expectFates(worlds, {
      'tcp near-a -> web:80': 'far-c as sent, near-a as the node',
      'tcp near-a -> other:80': 'near-a as the node',
      'tcp near-b -> other:80': 'near-a as sent',
    })
  })

  test('are refused at once where no endpoint is left, whoever sends them', async () => {
    const endpoints = [{ pod: 'near-a', conditions: { ready: false, serving: false } }] as const
    await worlds.apply({ services: [{ endpoints: [] }, { name: 'other', protocol: 'UDP', endpoints }] })
    await expectFates(worlds, {
      'tcp client -> web:80': 'refused',
      'tcp node -> web:80': 'refused',
      'tcp near-a -> web:80': 'refused',
      'udp client -> other:80': 'refused',
      'udp node -> other:80': 'refused',
      'udp near-a -> other:80': 'refused',
    })
    for (const world of worlds.all) {
      // TCP over IPv6 takes no notice before it tries again, after a second (PATIENCE_MS in world.ts).
      expect(await refusalMs(world, 'tcp client -> web:80', 'IPv4')).toBeLessThan(900)
      expect(await refusalMs(world, 'udp client -> other:80', 'IPv4')).toBeLessThan(900)
      expect(await refusalMs(world, 'udp client -> other:80', 'IPv6')).toBeLessThan(900)
    }
  })

  test('reach endpoints on this node alone where the internal policy is Local, and nothing where there are none', async () => {
    await worlds.apply({
      services: [
        { internalTrafficPolicy: 'Local', endpoints: ['near-a', 'near-b', 'far-c'] },
        { name: 'other', internalTrafficPolicy: 'Local', endpoints: ['far-c'] },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> web:80': 'near-a near-b as the node',
      'tcp near-a -> web:80': 'near-b as sent, near-a as the node',
      'tcp client -> other:80': 'no answer',
      'tcp node -> other:80': 'no answer',
      'tcp near-a -> other:80': 'no answer',
    })
  })

  test('are all masqueraded with masqueradeAll', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-b', 'far-c'] }], config: { masqueradeAll: true } })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c near-b as the node',
      'tcp near-a -> web:80': 'far-c near-b as the node',
    })
  })

  test('are masqueraded with another mark as well', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-b', 'far-c'] }], config: { masqueradeBit: 31 } })
    await expectFates(worlds, { 'tcp client -> web:80': 'far-c near-b as the node' })
  })

  test('are told from those of pods by the interface on which they come, or by nothing', async () => {
    const services = [{ endpoints: ['near-b', 'far-c'] }] as const
    await worlds.apply({ services, config: { detectLocal: { mode: 'InterfaceNamePrefix', prefix: 'pod-' } } })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c near-b as the node',
      'tcp far-d -> web:80': 'far-c near-b as the node',
      'tcp near-a -> web:80': 'far-c near-b as sent',
      'tcp node -> web:80': 'far-c near-b as the node',
    })
    await worlds.apply({ services, config: { detectLocal: { mode: 'BridgeInterface', bridge: 'pod-a' } } })
    await expectFates(worlds, {
      'tcp near-a -> web:80': 'far-c near-b as sent',
      'tcp near-b -> web:80': 'far-c near-b as the node',
    })
    await worlds.apply({ services, config: { detectLocal: { mode: 'NodeCIDR' } } })
    await expectFates(worlds, {
      'tcp near-a -> web:80': 'far-c near-b as sent',
      'tcp far-d -> web:80': 'far-c near-b as the node',
    })
    await worlds.apply({ services, config: { detectLocal: { mode: 'None' } } })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c near-b as sent',
      'tcp node -> web:80': 'far-c near-b as sent',
    })
  })
})

/** The shortest of a few: a busy machine may be late. */
async function refusalMs(world: World, packet: string, family: IpFamily): Promise<number> {
  const durations: number[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = performance.now()
    expect(await world.send(packet, { family })).toMatchObject([{ type: 'refused' }])
    durations.push(performance.now() - start)
  }
  return Math.min(...durations)
}
