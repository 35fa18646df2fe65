import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { chainHash } from './chain-hash.js'

describe('the hash in a chain name', () => {
  it.each([
    ['default/lb:p80tcp', 'ULFSZB4ZNLMYB6HN'],
    ['default/local:httptcp', '3ENVKKDUT2EZ6WIE'],
    ['default/lb:p80tcp10.244.1.31:80', 'AZZAQHKMOZ72I4QT'],
  ])("of %s is kube-proxy's", (text, expected) => {
    expect(chainHash(text)).toBe(expected)
  })

  it('is the first 80 bits of the SHA-256, five a character', () => {
    const bits = [...createHash('sha256').update('x').digest()]
      .map((byte) => byte.toString(2).padStart(8, '0'))
      .join('')
    const read = [...chainHash('x')].map((character) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(character))
    expect(read.map((number) => number.toString(2).padStart(5, '0')).join('')).toBe(bits.slice(0, 80))
  })
})
