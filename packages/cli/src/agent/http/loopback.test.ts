import { expect, it } from 'vitest'
import { isLoopback } from './http-server.js'

it.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', '::FFFF:127.1.2.3'])('%s is this machine', (peer) =>
  expect(isLoopback(peer)).toBe(true),
)

it.each(['10.0.0.1', '128.0.0.1', '1127.0.0.1', '::ffff:10.0.0.1', '::11', 'fe80::1', '', '127.0.0.1.example'])(
  '%j is not',
  (peer) => expect(isLoopback(peer)).toBe(false),
)
