import { afterEach, expect, test } from 'vitest'
import type { ServiceDescription } from './cluster.js'
import { describeWorlds } from './describe-worlds.js'
import { addressOf, FAMILIES } from './names.js'

const web: ServiceDescription = { targetPort: 7070, nodePort: 30080, endpoints: ['near-a', 'far-c'] }

/** What may become of the Service while connections to it are open. */
const CHANGES: readonly { readonly what: string; readonly to: readonly ServiceDescription[] }[] = [
  { what: 'gets other endpoints', to: [{ ...web, endpoints: ['near-b', 'far-d'] }] },
  { what: 'has no endpoints any more', to: [{ ...web, endpoints: [] }] },
  { what: 'sends to the endpoints of its node alone', to: [{ ...web, internalTrafficPolicy: 'Local' }] },
  { what: 'gets another port', to: [{ ...web, targetPort: 8080 }] },
  { what: 'is gone', to: [] },
]

describeWorlds('connections that are open', (worlds) => {
  afterEach(() => Promise.all(worlds.all.map(({ network }) => network.caller('client').letGo())))

  test.each(CHANGES)('go on when the service $what, and when it is as it was', async ({ to }) => {
    await worlds.apply({ services: [web] })
    const answered = await Promise.all(
      worlds.all.map(async (world) => {
        const caller = world.network.caller('client')
        for (const family of FAMILIES) {
          const from = addressOf('client', family)
          await caller.hold({ from, to: addressOf('web', family), port: 80 }, 6)
          await caller.hold({ from, to: addressOf('node', family), port: 30080 }, 6)
        }
        const seen = [await caller.speak(PATIENCE_MS)]
        for (const services of [to, [web]]) {
          await world.sync({ services })
          seen.push(await caller.speak(PATIENCE_MS))
        }
        return seen.map((each) => each.filter(Boolean).length)
      }),
    )
    expect(answered).toEqual(worlds.all.map(() => [24, 24, 24]))
  })

  test('end when what they were sent to is gone', async () => {
    await worlds.apply({ services: [web] })
    for (const { network } of worlds.all) {
      const caller = network.caller('client')
      const target = { from: addressOf('client', 'IPv4'), to: addressOf('web', 'IPv4'), port: 80 }
      await caller.hold(target, 2)
      network.run('node', 'conntrack', '-F')
      expect(await caller.speak(1000)).toEqual([false, false])
    }
  })
})

const PATIENCE_MS = 5000
