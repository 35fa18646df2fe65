import { describe, expect, it } from 'vitest'
import { formatSocketAddress, parseSocketAddress } from './address.js'

describe('parseSocketAddress', () => {
  it.each([
    ['0.0.0.0:10256', { host: '0.0.0.0', port: 10_256 }],
    ['127.0.0.1', { host: '127.0.0.1', port: 1 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['[0:0::1]:65535', { host: '::1', port: 65_535 }],
    ['::', { host: '::', port: 1 }],
  ])('reads %s', (text, address) => expect(parseSocketAddress(text, 1)).toEqual(address))

  it.each([
    [''],
    [':80'],
    ['a:80'],
    ['1.2.3.4:'],
    ['1.2.3.4:0'],
    ['1.2.3.4:65536'],
    ['[::1]'],
    ['::1:99999'],
    ['[]:1'],
  ])('refuses %j', (text) => expect(parseSocketAddress(text, 1)).toBeUndefined())

  it.each([['10.0.0.1:80'], ['[::]:10256']])('writes %s as it reads it', (text) => {
    const address = parseSocketAddress(text, 1)
    expect(address && formatSocketAddress(address)).toBe(text)
  })
})
