import { test } from 'vitest'
import { describeWorlds, expectFates } from './describe-worlds.js'

const LEAVING = { ready: false, serving: true, terminating: true } as const
const STUCK = { ready: false, serving: false, terminating: true } as const

describeWorlds('endpoints', (worlds) => {
  test('that terminate and still serve are used when no ready one is left, on the node and in the cluster apart', async () => {
    await worlds.apply({
      services: [
        {
          nodePort: 30080,
          externalTrafficPolicy: 'Local',
          endpoints: [{ pod: 'near-a', conditions: LEAVING }, { pod: 'near-b', conditions: STUCK }, 'far-c'],
        },
        {
          name: 'other',
          endpoints: [
            { pod: 'near-a', conditions: LEAVING },
            { pod: 'near-b', conditions: STUCK },
            { pod: 'far-c', conditions: LEAVING },
          ],
        },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c as the node',
      'tcp client -> node:30080': 'near-a as sent',
      'tcp near-b -> other:80': 'far-c near-a as sent',
    })
  })

  test('that only terminate and do not serve are none', async () => {
    await worlds.apply({ services: [{ endpoints: [{ pod: 'near-a', conditions: STUCK }] }] })
    await expectFates(worlds, { 'tcp client -> web:80': 'refused' })
  })

  test('are those of the hints: of this node, else of its zone, else all', async () => {
    const hinted = (hints: (pod: string) => { readonly [kind: string]: readonly { readonly name: string }[] }) =>
      (['near-a', 'near-b', 'far-c', 'far-d'] as const).map((pod) => ({ pod, hints: hints(pod) }))
    const zoneOf = (pod: string) => ({ forZones: [{ name: pod === 'far-d' ? 'zone-b' : 'zone-a' }] })
    const all = hinted(zoneOf)
    await worlds.apply({
      services: [
        { nodePort: 30080, endpoints: all },
        {
          name: 'other',
          endpoints: hinted((pod) => ({
            ...zoneOf(pod),
            forNodes: [{ name: pod === 'near-b' ? 'node-a' : 'node-b' }],
          })),
        },
      ],
    })
    await expectFates(worlds, {
      'tcp client -> web:80': 'far-c near-a near-b as the node',
      'tcp client -> node:30080': 'far-c near-a near-b as the node',
      'tcp client -> other:80': 'near-b as the node',
    })
    await worlds.apply({ services: [{ endpoints: [...all.slice(1), 'near-a'] }] })
    await expectFates(worlds, { 'tcp client -> web:80': 'far-c far-d near-a near-b as the node' })
  })

  test('that the rules no longer name get no new connections after the next sync', async () => {
    await worlds.apply({ services: [{ endpoints: ['near-a', 'far-c'] }] })
    await expectFates(worlds, { 'tcp client -> web:80': 'far-c near-a as the node' })
    await worlds.apply({ services: [{ endpoints: ['far-c', 'far-d'] }] })
    await expectFates(worlds, { 'tcp client -> web:80': 'far-c far-d as the node' })
    await worlds.apply({ services: [] })
    await expectFates(worlds, { 'tcp client -> web:80': 'the internet' })
  })
})
