import { afterAll, beforeAll, test } from 'vitest'
import { describeWorlds, expectFates } from './describe-worlds.js'

/*
 * Raw packets, an INIT and the INIT ACK to it, because few kernels have SCTP sockets; what translates them is the kernel's
 * own tracking of SCTP.
 */
describeWorlds(
  'SCTP packets',
  (worlds) => {
    const ends: (() => Promise<void>)[] = []
    beforeAll(async () => {
      for (const { network } of worlds.all) ends.push(await network.answerSctp())
    })
    afterAll(async () => {
      for (const end of ends) await end()
    })

    test('reach endpoints by cluster IP, node port and load-balancer VIP', async () => {
      await worlds.apply({
        services: [
          { protocol: 'SCTP', nodePort: 30080, vips: ['vip'], endpoints: ['near-b', 'far-c'] },
          { name: 'other', protocol: 'SCTP', targetPort: 9090, endpoints: ['near-a'] },
        ],
      })
      await expectFates(worlds, {
        'sctp client -> web:80': 'far-c near-b as the node',
        'sctp near-a -> web:80': 'far-c near-b as sent',
        'sctp near-b -> web:80': 'far-c as sent, near-b as the node',
        'sctp node -> web:80': 'far-c near-b as the node',
        'sctp client -> node:30080': 'far-c near-b as the node',
        'sctp node -> node:30080': 'far-c near-b as the node',
        'sctp client -> vip:80': 'far-c near-b as the node',
        'sctp near-b -> other:80': 'near-a:9090 as sent',
      })
    })

    test('are refused without endpoints, and get no answer with policy Local where endpoints are elsewhere', async () => {
      await worlds.apply({
        services: [
          { protocol: 'SCTP', nodePort: 30080, endpoints: [] },
          {
            name: 'other',
            protocol: 'SCTP',
            nodePort: 30081,
            externalTrafficPolicy: 'Local',
            internalTrafficPolicy: 'Local',
            endpoints: ['far-c'],
          },
        ],
      })
      await expectFates(worlds, {
        'sctp client -> web:80': 'refused',
        'sctp client -> node:30080': 'refused',
        'sctp near-a -> web:80': 'refused',
        'sctp node -> web:80': 'refused',
        'sctp client -> other:80': 'no answer',
        'sctp client -> node:30081': 'no answer',
      })
    })
  },
  ['perl'],
)
