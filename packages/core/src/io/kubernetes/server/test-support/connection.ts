import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, onTestFinished } from 'vitest'
import type { JsonObject } from '../../../../model/kubernetes-object.js'
import type { ApiServer, ApiWriter } from '../../../../ports/api-server.js'
import { connectApiServer, type ConnectOptions } from '../connect-api-server.js'
import { type Answer, startTlsServer, type TlsServer } from './tls-server.js'

export const base64 = (text: string): string => Buffer.from(text).toString('base64')
export const running = (): AbortSignal => new AbortController().signal

/** Both have to behave alike; a test that one of them is not made for says why. */
export const CLIENTS = ['lean', 'client-node'] as const

/** Files, servers and connections of one test, gone after it. */
export function createWorkshop(client: (typeof CLIENTS)[number] = 'lean') {
  const undo: (() => unknown)[] = []
  afterEach(async () => {
    for (const step of undo.splice(0).toReversed()) await step()
  })

  const directory = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'pointsman-server-'))
    undo.push(() => rmSync(path, { recursive: true, force: true }))
    return path
  }
  const here = { path: '' }
  const file = (name: string, text: string, mode = 0o600): string => {
    if (here.path === '') {
      here.path = directory()
      undo.push(() => {
        here.path = ''
      })
    }
    const path = join(here.path, name)
    writeFileSync(path, text, { mode })
    return path
  }

  const server = async (options: Parameters<typeof startTlsServer>[0] = {}): Promise<TlsServer> => {
    const started = await startTlsServer(options)
    undo.push(() => started.close())
    return started
  }
  const connect = async (options: Partial<ConnectOptions>): Promise<ApiServer & ApiWriter> => {
    const api = await connectApiServer({
      client,
      otherwise: 'pod',
      env: {},
      userAgent: 'pointsman-test',
      now: () => performance.now(),
      ...options,
    })
    undo.push(() => api.close())
    return api
  }
  /** A kubeconfig with one context of the server, and the user's fields. */
  const kubeconfig = (to: TlsServer, user: JsonObject, cluster: JsonObject = {}): string => {
    const ca = { 'certificate-authority-data': base64(to.authority.certificate) }
    return file('kubeconfig', JSON.stringify(kubeconfigOf({ server: to.url, ...ca, ...cluster }, user)))
  }
  /** A server, and a connection to it with a user's fields. */
  const connectAs = async (user: JsonObject, answer?: Answer): Promise<{ api: ApiServer; to: TlsServer }> => {
    const to = await server(answer === undefined ? {} : { answer })
    return { to, api: await connect({ kubeconfig: kubeconfig(to, user) }) }
  }
  return { file, server, connect, kubeconfig, connectAs }
}

/** Who asked, as the server saw it, one after the other. */
export const seenBy = (to: TlsServer): string[] =>
  to.seen.map(({ authorization, client }) => authorization ?? (client === undefined ? 'nobody' : `CN=${client}`))

export const kubeconfigOf = (cluster: JsonObject, user: JsonObject): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'dock', cluster }],
  users: [{ name: 'harbour-master', user }],
  contexts: [{ name: 'dev', context: { cluster: 'dock', user: 'harbour-master' } }],
  'current-context': 'dev',
})

/** The status and the whole body. */
export async function ask(api: ApiServer, path = '/api/v1/services', signal = running()): Promise<string> {
  const { status, body } = await api.get({ path, query: {} }, signal)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return `${status} ${Buffer.concat(chunks).toString()}`
}

/** Something that takes connections and does with them as told. */
export async function listener(serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const listening = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    serve(socket)
  })
  await once(listening.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    listening.close()
  })
  return `127.0.0.1:${(listening.address() as AddressInfo).port}`
}
