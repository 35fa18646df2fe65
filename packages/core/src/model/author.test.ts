import { describe, expect, test } from 'vitest'
import { authorOf } from './record.js'

interface Entry {
  readonly manager?: string
  readonly operation?: string
  readonly subresource?: string
  readonly time?: string
  readonly fieldsDigest?: string
}
const entry = (manager: string, seconds: number, rest: Entry = {}): Entry => ({
  manager,
  operation: 'Update',
  time: `2026-01-20T00:00:0${seconds}Z`,
  fieldsDigest: '00000000',
  ...rest,
})
const managed = (...managedFields: Entry[]): { readonly metadata: { readonly managedFields: never } } => ({
  metadata: { managedFields: managedFields as never },
})
const authorName = (before: Entry[] | undefined, after: Entry[]): string | undefined =>
  authorOf(before && managed(...before), managed(...after))?.manager

describe('the author of a version', () => {
  test.each<[string, Entry[] | undefined, Entry[], string | undefined]>([
    ['the only entry of an object seen first', undefined, [entry('deployer', 1)], 'deployer'],
    [
      'the newest entry of an object seen first',
      undefined,
      [entry('deployer', 1), entry('edit', 3), entry('controller', 2)],
      'edit',
    ],
    ['a new entry', [entry('deployer', 1)], [entry('deployer', 1), entry('edit', 2)], 'edit'],
    [
      'an entry whose time moved',
      [entry('deployer', 1), entry('edit', 2)],
      [entry('deployer', 3), entry('edit', 2)],
      'deployer',
    ],
    [
      'an entry with other fields within the second',
      [entry('deployer', 1)],
      [entry('deployer', 1, { fieldsDigest: '1' })],
      'deployer',
    ],
    [
      'the one who took fields, not the one who lost them in the same second',
      [entry('edit', 0), entry('deployer', 1)],
      [entry('edit', 1, { fieldsDigest: '1' }), entry('deployer', 1, { fieldsDigest: '1' })],
      'edit',
    ],
    ['the last of several at one time', undefined, [entry('a', 1), entry('b', 1)], 'b'],
    ['nobody where no entry changed', [entry('deployer', 1)], [entry('deployer', 1)], undefined],
    ['nobody where an entry is only gone', [entry('a', 1), entry('b', 2)], [entry('a', 1)], undefined],
    [
      'another entry for another subresource',
      [entry('lb', 1)],
      [entry('lb', 1), entry('lb', 1, { subresource: 'status' })],
      'lb',
    ],
    ['one without a time only where nobody has one', undefined, [{ manager: 'x' }, entry('y', 1)], 'y'],
    ['nobody without a name', undefined, [{ operation: 'Update' }], undefined],
  ])('is %s', (_, before, after, expected) => {
    expect(authorName(before, after)).toBe(expected)
  })

  test('carries operation, time and subresource', () => {
    expect(authorOf(undefined, managed(entry('lb', 1, { subresource: 'status' })))).toEqual({
      manager: 'lb',
      operation: 'Update',
      time: Date.UTC(2026, 0, 20, 0, 0, 1),
      subresource: 'status',
    })
    expect(authorOf(undefined, managed({ manager: 'x', time: 'soon' }))).toEqual({ manager: 'x', operation: '' })
  })

  test('is nobody where managedFields is of a wrong type', () => {
    expect(authorOf(undefined, { metadata: { managedFields: 'x' } })).toBeUndefined()
    expect(authorOf(undefined, { metadata: { managedFields: [1, 'x', null] } })).toBeUndefined()
  })
})
