import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect as connectPlainly, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, createWorkshop } from './test-support/connection.js'

const { connect, kubeconfig, server } = createWorkshop()

/** A proxy that tells what it was asked for. */
async function startProxy(answer = 'HTTP/1.1 200 OK\r\n\r\n'): Promise<{ address: string; asked: string[] }> {
  const asked: string[] = []
  const sockets: Socket[] = []
  const proxy = createServer((_, response) => response.writeHead(405).end())
  proxy.on('connect', ({ url = '', headers }: IncomingMessage, client: Socket) => {
    asked.push([url, headers['proxy-authorization']].filter(Boolean).join(' '))
    client.write(answer)
    if (!answer.includes('200')) {
      client.end()
      return
    }
    const [host = '', port = ''] = url.split(':')
    const behind = connectPlainly(Number(port), host)
    sockets.push(
      client.on('error', () => undefined),
      behind.on('error', () => undefined),
    )
    client.pipe(behind).pipe(client)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return { address: `127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked }
}

describe('through a proxy', () => {
  it('the server is verified and let in as without one, on one connection', async () => {
    const { address, asked } = await startProxy()
    const to = await server()
    const { certificate, key } = to.authority.issue({ commonName: 'kept' })
    const user = {
      'client-certificate-data': Buffer.from(certificate).toString('base64'),
      'client-key-data': Buffer.from(key).toString('base64'),
    }
    const api = await connect({ kubeconfig: kubeconfig(to, user, { 'proxy-url': `http://ann:p%40ss@${address}` }) })
    expect(await ask(api)).toMatch(/^200/)
    expect(await ask(api)).toMatch(/^200/)
    expect(to.seen.map(({ client, connection }) => [client, connection])).toEqual([
      ['kept', 1],
      ['kept', 1],
    ])
    expect(asked).toEqual([`127.0.0.1:${to.port} Basic ${Buffer.from('ann:p@ss').toString('base64')}`])
  })

  it('another server in its place is refused', async () => {
    const { address } = await startProxy()
    const to = await server({ names: ['another'] })
    const api = await connect({ kubeconfig: kubeconfig(to, {}, { 'proxy-url': `http://${address}` }) })
    await expect(ask(api)).rejects.toMatchObject({ code: 'TLS_FAILED' })
  })

  it('a refusal of the proxy is told', async () => {
    const { address } = await startProxy('HTTP/1.1 403 Forbidden\r\n\r\n')
    const api = await connect({ kubeconfig: kubeconfig(await server(), {}, { 'proxy-url': `http://${address}` }) })
    await expect(ask(api)).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/^proxy http:.*it answers 403 for 127.0.0.1/),
    })
  })

  it('as is one that is not there', async () => {
    const api = await connect({ kubeconfig: kubeconfig(await server(), {}, { 'proxy-url': 'http://127.0.0.1:1' }) })
    await expect(ask(api)).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/^proxy http:\/\/127.0.0.1:1.*ECONNREFUSED/),
    })
  })

  it.each(['socks5://127.0.0.1:1080', 'nonsense'])('%s is refused before anything is asked', async (proxy) => {
    const asking = connect({ kubeconfig: kubeconfig(await server(), {}, { 'proxy-url': proxy }) })
    await expect(asking).rejects.toMatchObject({ code: 'KUBECONFIG_INVALID' })
  })
})
