import { expect, it } from 'vitest'
import { boundTo, formatBindAddress } from './http-server.js'

it.each([
  [{ host: '0.0.0.0', port: 10_256 }, { port: 10_256 }, '0.0.0.0:10256'],
  [{ host: '::', port: 10_256 }, { port: 10_256 }, '[::]:10256'],
  [{ port: 10_256 }, { port: 10_256 }, '0.0.0.0:10256'],
  [{ host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 1 }, '127.0.0.1:1'],
  [{ host: '::1', port: 1 }, { host: '::1', port: 1 }, '[::1]:1'],
])('%j is listened on as %j and written %s', (address, bound, text) => {
  expect(boundTo(address)).toEqual(bound)
  expect(formatBindAddress(address)).toBe(text)
})
