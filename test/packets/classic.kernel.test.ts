import { expect, test } from 'vitest'
import type { ServiceDescription } from './cluster.js'
import { describeWorlds, expectFates, type Fates, type Worlds } from './describe-worlds.js'
import { FAMILIES } from './names.js'
import { readPacket } from './packet.js'

/*
 * Real packets and the rules of layout classic. Where they fare as with those of kube-proxy 1.36, the meaning of the Services says the
 * same; where they do not, it is written down here.
 */
describeWorlds('packets that meet the rules of layout classic', (worlds) => {
  const apply = (service: ServiceDescription): Promise<void> =>
    worlds.apply({ services: [service], config: { layout: 'classic' } })

  test('reach every endpoint by cluster IP, node port and load balancer, in the name of the node', async () => {
    await apply({ nodePort: 30080, vips: ['vip'], endpoints: ['near-b', 'far-c'] })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c near-b as the node',
      'tcp near-a -> web:80': 'far-c near-b as sent',
      'tcp near-b -> web:80': 'far-c as sent, near-b as the node',
      'tcp node -> web:80': 'far-c near-b as the node',
      'tcp client -> node:30080': 'far-c near-b as the node',
      'tcp near-a -> node:30080': 'far-c near-b as the node',
      'tcp client -> vip:80': 'far-c near-b as the node',
      'tcp node -> vip:80': 'far-c near-b as the node',
    })
  })

  test('are refused where there are no endpoints', async () => {
    await apply({ nodePort: 30080, externalIPs: ['external'], vips: ['vip'], endpoints: [] })
    await expectFates(worlds, {
      'tcp client -> web:80': 'refused',
      'tcp near-a -> web:80': 'refused',
      'tcp client -> node:30080': 'refused',
      'tcp client -> external:80': 'refused',
      'tcp client -> vip:80': 'refused',
    })
  })

  test('keep their source with policy Local, and reach pods of this node alone but from this node', async () => {
    await apply({ nodePort: 30080, externalTrafficPolicy: 'Local', vips: ['vip'], endpoints: ['near-b', 'far-c'] })
    await expectFates(worlds, {
      'tcp client -> vip:80': 'near-b as sent',
      'tcp client -> node:30080': 'near-b as sent',
      'tcp near-a -> vip:80': 'far-c near-b as sent',
      'tcp node -> vip:80': 'far-c near-b as the node',
      'tcp client -> web:80': 'far-c near-b as the node',
    })
  })

  test('get no answer at a node port with policy Local and endpoints elsewhere; those to a VIP go on', async () => {
    await apply({ nodePort: 30080, externalTrafficPolicy: 'Local', vips: ['vip'], endpoints: ['far-c'] })
    await expectFates(worlds, { 'tcp client -> node:30080': 'no answer', 'tcp node -> vip:80': 'far-c as the node' })
    await expectSeen(worlds, { 'tcp client -> vip:80': 'the internet' })
  })

  test('reach an external IP from other machines, not from this one', async () => {
    await apply({ nodePort: 30080, externalIPs: ['external'], endpoints: ['near-b', 'far-c'] })
    await expectFates(worlds, { 'tcp client -> external:80': 'far-c near-b as the node' })
    await expectSeen(worlds, { 'tcp node -> external:80': 'the internet' })
  })

  test('within the source ranges reach endpoints; others go on to where the address is, and the node is not asked', async () => {
    await apply({
      nodePort: 30080,
      vips: ['vip'],
      sourceRanges: ['192.0.2.0/24', '2001:db8:c::/64'],
      endpoints: ['far-c'],
    })
    await expectFates(worlds, { 'tcp client -> vip:80': 'far-c as the node' })
    await expectSeen(worlds, { 'tcp stranger -> vip:80': 'the internet' })
    await expectFates(worlds, { 'tcp stranger -> node:30080': 'far-c as the node' })
  })
})

/** What becomes of packets, where the meaning of the Services says otherwise. */
async function expectSeen({ all }: Pick<Worlds, 'all'>, expected: Fates): Promise<void> {
  for (const world of all)
    for (const family of FAMILIES)
      for (const [text, fate] of Object.entries(expected))
        expect([world.variant, text, (await world.fatesOf({ ...readPacket(text), family })).seen]).toEqual([
          world.variant,
          text,
          fate,
        ])
}
