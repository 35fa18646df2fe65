import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect as connectPlainly, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, base64, CLIENTS, createWorkshop, listener, seenBy } from './test-support/connection.js'

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

/** A SOCKS 5 proxy (RFC 1928, RFC 1929) that notes what it was asked for, and by whom. */
async function startSocksProxy({ refuses = false } = {}): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = []
  const serve = async (client: Socket): Promise<void> => {
    const next = async (): Promise<Buffer> => ((await once(client, 'data')) as [Buffer])[0]
    const hasName = (await next()).includes(2, 2)
    client.write(Buffer.from([5, hasName ? 2 : 0]))
    let who = ''
    if (hasName) {
      const sent = await next()
      const length = sent[1] ?? 0
      who = `${sent.toString('utf8', 2, 2 + length)}:${sent.toString('utf8', 3 + length)} `
      client.write(Buffer.from([1, 0]))
    }
    const wanted = await next()
    const port = wanted.readUInt16BE(wanted.length - 2)
    const host = wanted[3] === 1 ? [...wanted.subarray(4, 8)].join('.') : wanted.toString('utf8', 5, wanted.length - 2)
    asked.push(`${who}${host}:${port}`)
    client.write(Buffer.from([5, refuses ? 2 : 0, 0, 1, 0, 0, 0, 0, 0, 0]))
    if (refuses) return
    const behind = connectPlainly(port, host).on('error', () => undefined)
    client.pipe(behind).pipe(client)
    client.on('close', () => behind.destroy())
  }
  const address = await listener((client) => void serve(client).catch(() => undefined))
  return { port: Number(address.split(':')[1]), asked }
}

describe.each(CLIENTS)('%s', (client) => {
  const { connect, kubeconfig, server } = createWorkshop(client)
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
        // client-node's agents keep no connection.
        ['kept', client === 'lean' ? 1 : 2],
      ])
      expect(asked[0]).toBe(`127.0.0.1:${to.port} Basic ${Buffer.from('ann:p@ss').toString('base64')}`)
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

    it.each(['socks://127.0.0.1', 'socks5://ann:p%40ss@127.0.0.1', 'socks5h://127.0.0.1'])('%s', async (socks) => {
      const { port, asked } = await startSocksProxy()
      const to = await server()
      const { certificate, key } = to.authority.issue({ commonName: 'known' })
      const user = { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) }
      const api = await connect({ kubeconfig: kubeconfig(to, user, { 'proxy-url': `${socks}:${port}` }) })
      expect(await ask(api)).toMatch(/^200/)
      expect(seenBy(to)).toEqual(['CN=known'])
      expect(asked).toEqual([`${socks.includes('ann') ? 'ann:p@ss ' : ''}127.0.0.1:${to.port}`])
      const other = await server({ names: ['another'] })
      const misled = await connect({ kubeconfig: kubeconfig(other, {}, { 'proxy-url': `${socks}:${port}` }) })
      await expect(ask(misled)).rejects.toMatchObject({ code: 'TLS_FAILED' })
    })

    it('that speaks SOCKS, refuses, hangs or is not there is waited for no longer than it may be', async () => {
      const silent = await listener(() => undefined)
      const { port } = await startSocksProxy({ refuses: true })
      for (const [proxy, code] of [
        [silent, 'TIMED_OUT'],
        [`127.0.0.1:${port}`, 'UNREACHABLE'],
        ['127.0.0.1:1', 'UNREACHABLE'],
      ]) {
        const cluster = { 'proxy-url': `socks5://ann:secret@${proxy}` }
        const path = kubeconfig(await server(), {}, cluster)
        const api = await connect({ kubeconfig: path, timeouts: { connectMs: 300 } })
        const error: unknown = await ask(api).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code })
        expect(String(error)).not.toContain('secret')
      }
    })

    it.each(['ftp://ann:secret@127.0.0.1:1080', 'http://ann:secret@proxy:none', 'nonsense'])(
      '%s is refused before anything is asked, without its password',
      async (proxy) => {
        const asking = connect({ kubeconfig: kubeconfig(await server(), {}, { 'proxy-url': proxy }) })
        await expect(asking).rejects.toMatchObject({
          code: 'KUBECONFIG_INVALID',
          message: expect.not.stringContaining('secret'),
        })
      },
    )
  })
})
