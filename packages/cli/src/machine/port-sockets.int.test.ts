import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import type { HeldPort } from '@pointsman/core'
import { beforeAll, describe, expect, it } from 'vitest'
import { openPort } from './port-sockets.js'

let port: number
beforeAll(async () => {
  const server = createServer().listen(0, '0.0.0.0')
  await once(server, 'listening')
  ;({ port } = server.address() as AddressInfo)
  server.close()
  await once(server, 'close')
})

const held = (protocol: HeldPort['protocol'], more: Partial<HeldPort> = {}): HeldPort => ({
  family: 'IPv4',
  protocol,
  address: '',
  port,
  type: 'nodePort',
  owners: [],
  ...more,
})

/** Whether another program may listen there; else the system's error. */
async function listens(host: string): Promise<string> {
  const server = createServer()
  const outcome = await new Promise<string>((resolve) => {
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message))
    server.listen({ host, port, ipv6Only: true }, () => resolve('listens'))
  })
  if (server.listening) await new Promise((resolve) => server.close(resolve))
  return outcome
}

async function binds(address: string): Promise<string> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', ipv6Only: address.includes(':') })
  const outcome = await new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve('code' in error ? String(error.code) : error.message))
    socket.bind({ address, port }, () => resolve('binds'))
  })
  socket.close()
  return outcome
}

describe('a port that is held', () => {
  it('is taken for other programs, in its protocol and family, until it is closed', async () => {
    const tcp = await openPort(held('TCP'))
    expect([await listens('0.0.0.0'), await listens('127.0.0.1')]).toEqual(['EADDRINUSE', 'EADDRINUSE'])
    expect([await listens('::1'), await binds('0.0.0.0')]).toEqual(['listens', 'binds'])
    const udp = await openPort(held('UDP'))
    expect([await binds('0.0.0.0'), await binds('127.0.0.1'), await binds('::1')]).toEqual([
      'EADDRINUSE',
      'EADDRINUSE',
      'binds',
    ])
    const six = await Promise.all([
      openPort(held('TCP', { family: 'IPv6' })),
      openPort(held('UDP', { family: 'IPv6' })),
    ])
    expect([await listens('::1'), await binds('::1')]).toEqual(['EADDRINUSE', 'EADDRINUSE'])
    for (const socket of [tcp, udp, ...six]) await socket.close()
    expect([await listens('0.0.0.0'), await listens('::'), await binds('0.0.0.0'), await binds('::')]).toEqual([
      'listens',
      'listens',
      'binds',
      'binds',
    ])
  })

  it('cannot be opened where another program has it', async () => {
    const first = await openPort(held('TCP', { address: '127.0.0.1' }))
    const second = await openPort(held('UDP', { address: '127.0.0.1' }))
    for (const protocol of ['TCP', 'UDP'] as const) {
      await expect(openPort(held(protocol))).rejects.toMatchObject({ code: 'EADDRINUSE' })
      await expect(openPort(held(protocol, { address: '192.0.2.1' }))).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
    }
    await Promise.all([first.close(), second.close()])
  })

  it('resets a connection, so that its client does not wait', async () => {
    const socket = await openPort(held('TCP'))
    const client = connect(port, '127.0.0.1')
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNRESET')
    await socket.close()
  })
})
