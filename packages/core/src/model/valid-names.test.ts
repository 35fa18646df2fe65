import { describe, expect, it } from 'vitest'
import { isObjectName, isPortName } from './names.js'

const HOSTILE = [
  'a/b',
  'a:b',
  ':a',
  'a:',
  'a b',
  ' a',
  'a ',
  'a\n',
  '\na',
  'a\t',
  'a\u0000',
  'a"b',
  "a'b",
  'a`b',
  'a\\b',
  'é',
  '-a',
  'a-',
  '.',
  5,
  null,
  undefined,
  {},
  ['a'],
]

describe('names of objects', () => {
  it.each(['web', 'a', '0', 'web-2.example', 'a'.repeat(253)])('may be %s', (name) => {
    expect(isObjectName(name)).toBe(true)
  })

  it.each([...HOSTILE, '', 'Web', 'a_b', 'a'.repeat(254)])('may not be %j', (name) => {
    expect(isObjectName(name)).toBe(false)
  })
})

describe('names of ports', () => {
  it.each(['', 'http', 'a', '8080', 'dns-tcp', 'a'.repeat(63)])('may be "%s"', (name) => {
    expect(isPortName(name)).toBe(true)
  })

  it.each([...HOSTILE, 'a'.repeat(64)])('may not be %j', (name) => {
    expect(isPortName(name)).toBe(false)
  })
})
