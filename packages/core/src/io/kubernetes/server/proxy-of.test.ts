import { describe, expect, it } from 'vitest'
import { proxyOf } from './proxy-tunnel.js'

const PROXY = 'http://proxy.shop:3128'
const through = (server: string, env: Readonly<Record<string, string>>, proxyUrl?: string): string | undefined =>
  proxyOf({ url: new URL(server), proxyUrl, env })

describe('the proxy to a server', () => {
  it.each<[string, string | undefined, string | undefined]>([
    ['is that of the kubeconfig', 'socks5://other:1', 'socks5://other:1'],
    ['is else that of the environment', undefined, PROXY],
  ])('%s', (_, proxyUrl, expected) => {
    expect(through('https://10.0.0.1:6443', { HTTPS_PROXY: PROXY }, proxyUrl)).toBe(expected)
  })

  it('may be named in small letters, and without a scheme', () => {
    expect(through('https://a', { https_proxy: 'proxy.shop:3128' })).toBe(PROXY)
  })

  it.each(['http://10.0.0.1', 'https://127.0.0.1:6443', 'https://[::1]:6443', 'https://localhost:6443'])(
    'is none for %s',
    (server) => {
      expect(through(server, { HTTPS_PROXY: PROXY })).toBeUndefined()
    },
  )

  it.each<[string, string, boolean]>([
    ['*', 'https://a', false],
    ['b, 10.0.0.0/8', 'https://10.1.2.3:6443', false],
    ['10.0.0.0/8', 'https://11.1.2.3:6443', true],
    ['fd00::/8', 'https://[fd00::1]:6443', false],
    ['fd00::1', 'https://[fd00::1]:6443', false],
    ['10.0.0.1', 'https://10.0.0.1:6443', false],
    ['10.0.0.1:443', 'https://10.0.0.1:6443', true],
    ['10.0.0.1:443', 'https://10.0.0.1', false],
    ['shop.test', 'https://shop.test', false],
    ['SHOP.test', 'https://api.shop.test', false],
    ['shop.test', 'https://workshop.test', true],
    ['.shop.test', 'https://api.shop.test', false],
    ['.shop.test', 'https://shop.test', true],
    ['*.shop.test', 'https://api.shop.test', false],
    ['', 'https://a', true],
  ])('with the exceptions "%s", %s is reached through it: %s', (exceptions, server, isThrough) => {
    expect(through(server, { HTTPS_PROXY: PROXY, NO_PROXY: exceptions }) !== undefined).toBe(isThrough)
  })
})
