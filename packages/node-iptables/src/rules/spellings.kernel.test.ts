import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createIptables } from '../create-iptables.js'
import { enterNamespace, describeKernel, type Namespace } from '../test-support/namespace.js'
import { NAT_SPELLINGS, SPELLINGS } from '../test-support/spellings.js'

describeKernel('the spelling of iptables-save', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    let namespace: Namespace
    beforeEach(() => (namespace = enterNamespace()))
    afterEach(() => namespace.remove())

    test.each([
      ['filter', SPELLINGS],
      ['nat', NAT_SPELLINGS.filter(([written]) => !written.startsWith('-j MARK'))],
      ['mangle', NAT_SPELLINGS.filter(([written]) => written.startsWith('-j MARK'))],
    ] as const)('of rules in %s is the one that is expected here', async (table, spellings) => {
      const iptables = await createIptables({ family: 'IPv4', variant })
      const rules = spellings.map(([written]) => `-A A ${written}`)
      const lines = [`*${table}`, ':A - [0:0]', ':B - [0:0]', ...rules, 'COMMIT']
      await iptables.restore({ lines, flush: false, counters: false })
      const saved = (await iptables.save({ table })).split('\n').filter((line) => line.startsWith('-A'))
      expect(saved).toEqual(spellings.map(([, saved]) => `-A A ${saved}`.trimEnd()))
    })
  })
})
