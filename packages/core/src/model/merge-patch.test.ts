import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Json } from './kubernetes-object.js'
import { diffMergePatch, jsonContradicts, jsonEqual, mergePatch } from './json-value.js'

/** The examples of RFC 7396, appendix A. */
const EXAMPLES: readonly (readonly [target: Json, patch: Json, result: Json])[] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]

/** JSON without null members, and without the one name that objects give a meaning to. */
const json: fc.Arbitrary<Json> = (fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>).map(
  (value) => withoutNulls(value) ?? 0,
)

describe('a merge patch', () => {
  test.each(EXAMPLES)('%j patched by %j is %j', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result)
  })

  test('between two values makes the later of the earlier', () => {
    fc.assert(
      fc.property(json, json, (from, to) => {
        const patch = diffMergePatch(from, to)
        expect(patch === undefined ? from : mergePatch(from, patch)).toEqual(to)
      }),
    )
  })

  test('between equal values is none', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(diffMergePatch(value, JSON.parse(JSON.stringify(value)) as Json)).toBeUndefined()
      }),
    )
  })

  test('shares what it does not touch, and changes neither', () => {
    const target = { same: { deep: [1] }, other: { a: 1, b: 2 } }
    const patched = mergePatch(target, { other: { a: null } })
    expect(patched).toEqual({ same: { deep: [1] }, other: { b: 2 } })
    expect((patched as typeof target).same).toBe(target.same)
    expect(target).toEqual({ same: { deep: [1] }, other: { a: 1, b: 2 } })
  })

  test('keeps members in order', () => {
    expect(JSON.stringify(mergePatch({ b: 1, d: { x: 1 } }, { c: 1, a: 1, d: { w: 1 } }))).toBe(
      '{"a":1,"b":1,"c":1,"d":{"w":1,"x":1}}',
    )
  })
})

test('equality looks at values, whatever the order of members', () => {
  expect(jsonEqual({ a: [1, { b: 2, c: 3 }] }, { a: [1, { c: 3, b: 2 }] })).toBe(true)
  expect(jsonEqual([1, 2], [2, 1])).toBe(false)
  expect(jsonEqual({ a: 1 }, { a: 1, b: 2 })).toBe(false)
  expect(jsonEqual([], {})).toBe(false)
})

function withoutNulls(value: Json | undefined): Json | undefined {
  if (Array.isArray(value)) return value.map((item: Json) => withoutNulls(item) ?? 0)
  if (typeof value !== 'object' || value === null) return value ?? undefined
  const members = Object.entries(value as { readonly [key: string]: Json })
  return Object.fromEntries(
    members.flatMap(([key, member]) => {
      const kept = withoutNulls(member)
      return kept === undefined || key === '__proto__' ? [] : [[key, kept]]
    }),
  )
}

test.each<[string, Json, Json, boolean]>([
  ['a member that one of them has', { a: { b: 1 } }, { a: { b: 1, c: 2 }, d: 3 }, false],
  ['a member that both have', { a: { b: 1 } }, { a: { b: 2, c: 2 } }, true],
  ['a member of another type', { a: { b: 1 } }, { a: [1] }, true],
  ['a list that is longer', { a: [1] }, { a: [1, 2] }, true],
  ['an item with a member more', { a: [{ b: 1 }] }, { a: [{ b: 1, c: 2 }] }, false],
  ['an item that differs', { a: [{ b: 1 }] }, { a: [{ b: 2, c: 2 }] }, true],
  ['a name of a prototype', { a: 1 }, { constructor: 1 }, false],
])('whether two readings of one value contradict each other: %s', (_, one, other, expected) => {
  expect(jsonContradicts(one, other)).toBe(expected)
  expect(jsonContradicts(other, one)).toBe(expected)
})
