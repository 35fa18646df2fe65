import { seq, type State } from '@pointsman/core'
import { endpointsOf } from '@pointsman/core/testing'
import { type Iptables, IptablesError } from 'node-iptables'
import { createFakeIptables } from 'node-iptables/fake'
import { describe, expect, test } from 'vitest'
import { readClassicGolden } from '../test-support/goldens.js'
import { createIptablesBackend } from './iptables-backend.js'
import { describeClassicLeftovers } from './test-support/classic-leftovers.js'

describe.each(['nft', 'legacy'] as const)('what kube-proxy 1.20 left in the fake tables of %s', (variant) => {
  describeClassicLeftovers(async () => ({ iptables: createFakeIptables({ family: 'IPv4', variant }), end: () => {} }))
})

test('a service whose new rules are refused keeps those of the older layout, whole, while the others change', async () => {
  const { config, state, saved } = readClassicGolden('external-traffic-policy-local', 'current')
  const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
  fake.change(saved)
  const chain = 'KUBE-XLB-3ENVKKDUT2EZ6WIE'
  const rulesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line.includes(chain))
  const before = rulesOf(fake.text())
  const backend = createIptablesBackend({ config, iptables: [refusing('10.66.6.6', fake)] })
  const poisoned = withEndpoint('10.66.6.6:8080@node-a', 'default/local:http/TCP/IPv4', state)
  const request = { state: poisoned, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
  const { refused } = await backend.sync(request, new AbortController().signal)
  expect(refused.map(({ owner }) => owner)).toEqual(['default/local:http/TCP/IPv4'])
  expect(rulesOf(fake.text()).toSorted()).toEqual(before.toSorted())
  expect(fake.text().match(/^:KUBE-XLB-.*/gm)).toEqual([`:${chain} - [0:0]`])
})

const withEndpoint = (at: string, id: string, state: State): State => ({
  ...state,
  endpoints: new Map(
    [...state.endpoints].map(([name, endpoints]) => [
      name,
      name === id ? [...endpoints, ...endpointsOf([at])] : endpoints,
    ]),
  ),
})

/** Tables that refuse any rule with these words. */
const refusing = (words: string, iptables: Iptables): Iptables => ({
  ...iptables,
  restore: async (request, limits) => {
    const lines = 'lines' in request && typeof request.lines === 'function' ? request.lines() : []
    for await (const line of lines) {
      if (line.includes(words)) throw new IptablesError('RESTORE_FAILED', { argv: ['iptables-restore'] })
    }
    await iptables.restore(request, limits)
  },
})
