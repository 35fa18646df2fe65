import type { AuditFinding, FindingKind } from '@pointsman/core'
import { expect, it } from 'vitest'
import { damageOf } from './damage.js'

const findings: Readonly<Record<string, FindingKind>> = {
  MISSING: { meaning: 'it is missing', nouns: ['missing element', 'missing elements'], cause: 'made' },
}
const missing = (chain: string): AuditFinding => ({ type: 'MISSING', family: 'IPv4', table: 'kube-proxy', chain })

it('names the place first where most is wrong, as a text has room for the first few', () => {
  const places = ['service-ips', 'spread-fronts', 'spread-endpoints', 'spread-endpoints', 'service-nodeports']
  const lasting = places.map((place) => ({ finding: missing(place), since: 1000, by: [] }))
  expect(damageOf(lasting, { before: undefined, dataplane: { findings } })?.texts).toEqual([
    'IPv4 kube-proxy spread-endpoints: 2 missing elements',
    'IPv4 kube-proxy service-ips: 1 missing element',
    'IPv4 kube-proxy spread-fronts: 1 missing element',
    'IPv4 kube-proxy service-nodeports: 1 missing element',
  ])
})
