import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { describeWorlds } from './describe-worlds.js'
import { addressOf, FAMILIES } from './names.js'
import type { World } from './world.js'

/*
 * Answers that conntrack cannot place bear the pod's own address: their receiver resets what it takes for a connection of
 * somebody else, and the real one breaks (kubernetes#74839).
 */
describeWorlds(
  'packets of no known connection',
  (worlds) => {
    test('are dropped on the way, unless conntrack is liberal', async () => {
      await worlds.apply({ services: [] })
      for (const world of worlds.all) {
        for (const family of FAMILIES) expect(strayFrom(world, family)).toBe('no-answer')
        world.network.run('node', 'sh', '-c', `echo 1 > ${TCP_BE_LIBERAL}`)
      }
      await worlds.apply({ services: [], config: { tcpBeLiberal: true } })
      for (const world of worlds.all) for (const family of FAMILIES) expect(strayFrom(world, family)).toBe('reset')
    })
  },
  ['perl'],
)

const TCP_BE_LIBERAL = '/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal'
const SCRIPT = fileURLToPath(new URL('stray-tcp.pl', import.meta.url))

const strayFrom = ({ network }: World, family: (typeof FAMILIES)[number]): string =>
  network.run('near-a', 'perl', SCRIPT, addressOf('near-a', family), addressOf('client', family), '0.5').trim()
