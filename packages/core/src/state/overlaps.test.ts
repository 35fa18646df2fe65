import { describe, expect, it } from 'vitest'
import { servicePortOf, type PortDescription } from '../testing/state-builder.js'
import { displayName } from '../model/names.js'
import { inOverlapOrder } from './overlaps.js'

const order = (ports: readonly PortDescription[]): readonly string[] =>
  inOverlapOrder(ports.map(servicePortOf)).map(displayName)
const on = (day: number): string => `2026-01-0${day}T00:00:00Z`
const at = (last: number): { readonly clusterIP: string } => ({ clusterIP: `10.96.0.${last}` })

describe('services whose rules come first', () => {
  it('are those whose names do, whatever their age', () => {
    expect(
      order([
        { is: 'shop/web', ...at(1), createdAt: on(1) },
        { is: 'shop/cart:b', ...at(2), createdAt: on(2) },
        { is: 'shop/cart:a', ...at(2), port: 81, createdAt: on(2) },
        { is: 'blog/web', ...at(3), createdAt: on(3) },
      ]),
    ).toEqual(['blog/web', 'shop/cart:a', 'shop/cart:b', 'shop/web'])
  })

  it.each<readonly [string, Partial<PortDescription>, Partial<PortDescription>]>([
    ['cluster IP', at(9), at(9)],
    ['external IP', { externalIPs: ['203.0.113.1'] }, { externalIPs: ['203.0.113.2', '203.0.113.1'] }],
    ['VIP', { loadBalancerVIPs: ['203.0.113.1'] }, { loadBalancerVIPs: ['203.0.113.1'] }],
    ['external IP that is a VIP', { externalIPs: ['203.0.113.1'] }, { loadBalancerVIPs: ['203.0.113.1'] }],
    ['node port', { nodePort: 30080 }, { nodePort: 30080 }],
  ])('are the older where they claim one %s', (_, a, b) => {
    const young = { is: 'a/young', ...at(1), ...a, createdAt: on(2) }
    const old = { is: 'b/old', ...at(2), ...b, createdAt: on(1) }
    expect(order([young, old])).toEqual(['b/old', 'a/young'])
    expect(order([old, young])).toEqual(['b/old', 'a/young'])
  })

  it.each<readonly [string, Partial<PortDescription>]>([
    ['port', { port: 81 }],
    ['protocol', { protocol: 'UDP' }],
  ])('are not the older where their %s differs', (_, other) => {
    const young = { is: 'a/young', ...at(1), createdAt: on(2) }
    expect(order([young, { is: 'b/old', ...at(1), ...other, createdAt: on(1) }])).toEqual(['a/young', 'b/old'])
  })

  it('are those whose names do where two of one age claim one front', () => {
    expect(
      order([
        { is: 'b/x', ...at(1) },
        { is: 'a/x', ...at(1) },
      ]),
    ).toEqual(['a/x', 'b/x'])
  })

  it('share the places that their names gave them, and leave the others theirs', () => {
    const shared = { externalIPs: ['203.0.113.1'] }
    const chained = { externalIPs: ['203.0.113.1', '203.0.113.2'] }
    expect(
      order([
        { is: 'a/1', ...at(1), ...shared, createdAt: on(3) },
        { is: 'b/apart', ...at(2), createdAt: on(9) },
        { is: 'c/2', ...at(3), ...chained, createdAt: on(2) },
        { is: 'd/apart', ...at(4), createdAt: on(1) },
        { is: 'e/3', ...at(5), externalIPs: ['203.0.113.2'], createdAt: on(1) },
      ]),
    ).toEqual(['e/3', 'b/apart', 'c/2', 'd/apart', 'a/1'])
  })
})
