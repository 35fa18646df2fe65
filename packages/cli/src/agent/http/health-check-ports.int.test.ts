import { type PortDescription, stateOf } from '@pointsman/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { synced } from '../health/test-support/agent-events.js'
import { createConnectionLimit } from './connection-limit.js'
import { createHealthCheckPorts, type FailedPort, type HealthCheckPorts } from './health-check-ports.js'
import { ask, freePort, holdPort, letGo } from './test-support/ask.js'

let addresses: 'all' | readonly string[]
let isServing: boolean
let failures: FailedPort[]
let ports: HealthCheckPorts

beforeEach(() => {
  addresses = ['127.0.0.1']
  isServing = true
  failures = []
  ports = createHealthCheckPorts({
    addresses: () => addresses,
    isServing: () => isServing,
    onFailed: (failure) => failures.push(failure),
    connections: createConnectionLimit({ maxConnections: 100 }),
    maxListeners: 4,
  })
})
afterEach(() => ports.close())

interface Wanted {
  readonly name?: string
  readonly port: number
  /** Endpoints on this node. */
  readonly local?: number
}

/** A sync has brought these Services into force. */
async function have(...services: readonly Wanted[]): Promise<void> {
  const described = services.map(({ name = 'web', port, local = 1 }, at): PortDescription => ({
    is: `shop/${name}:http`,
    clusterIP: `10.96.0.${at + 1}`,
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: port,
    endpoints: Array.from({ length: local }, (_, one) => `10.244.1.${one + 1}:80@node-a`),
  }))
  ports.on(synced({ toSeq: 1, startedAt: 0, endedAt: 0, state: stateOf({ node: {}, ports: described }) }))
  await ports.settled()
}

const expectClosed = (port: number, host?: string): Promise<void> =>
  expect(ask(port, '/', host === undefined ? {} : { host })).rejects.toMatchObject({ code: 'ECONNREFUSED' })

describe('a health-check node port', () => {
  it('is not opened where the descriptors of the process leave no room, and is once there is some', async () => {
    const wanted: Wanted[] = []
    for (let one = 0; one < 5; one++) wanted.push({ name: `web-${one}`, port: await freePort() })
    await have(...wanted)
    expect(failures).toMatchObject([{ service: 'shop/web-4', message: expect.stringContaining('raise RLIMIT_NOFILE') }])
    await expectClosed(wanted[4]?.port ?? 0)
    await have(...wanted.slice(1))
    expect(await ask(wanted[4]?.port ?? 0, '/')).toMatchObject({ status: 200 })
  })

  it('answers on any path with kube-proxy’s body and headers', async () => {
    const port = await freePort()
    await have({ port, local: 2 })
    for (const path of ['/', '/healthz', '/any/path?x'])
      expect(await ask(port, path)).toMatchObject({
        status: 200,
        headers: {
          'content-type': 'application/json',
          'x-content-type-options': 'nosniff',
          'x-load-balancing-endpoint-weight': '2',
        },
        body: '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
      })
  })

  it('follows the endpoints while it stays open', async () => {
    const port = await freePort()
    await have({ port, local: 1 })
    await have({ port, local: 0 })
    const none = await ask(port, '/')
    expect(none).toMatchObject({ status: 503, headers: { 'x-load-balancing-endpoint-weight': '0' } })
    expect(JSON.parse(none.body)).toMatchObject({ localEndpoints: 0, serviceProxyHealthy: true })
    await have({ port, local: 3 })
    expect(await ask(port, '/')).toMatchObject({ status: 200 })
  })

  it('is red while the proxy is not healthy', async () => {
    const port = await freePort()
    await have({ port, local: 2 })
    isServing = false
    const red = await ask(port, '/')
    expect(red).toMatchObject({ status: 503, headers: { 'x-load-balancing-endpoint-weight': '2' } })
    expect(JSON.parse(red.body)).toMatchObject({ localEndpoints: 2, serviceProxyHealthy: false })
  })

  it('is closed with its Service, and moves with its port', async () => {
    const [first, second] = [await freePort(), await freePort()]
    await have({ port: first }, { name: 'cart', port: second })
    await have({ name: 'cart', port: first })
    expect(JSON.parse((await ask(first, '/')).body)).toMatchObject({ service: { name: 'cart' } })
    await expectClosed(second)
    await have()
    await expectClosed(first)
  })

  it('is open on the addresses for node ports alone, and follows them', async () => {
    const port = await freePort()
    addresses = ['127.0.0.1', '127.0.0.2', '::1']
    await have({ port })
    for (const host of addresses) expect(await ask(port, '/', { host })).toMatchObject({ status: 200 })
    await expectClosed(port, '127.0.0.3')
    addresses = ['127.0.0.3']
    await have({ port })
    await expectClosed(port, '127.0.0.1')
    expect(await ask(port, '/', { host: '127.0.0.3' })).toMatchObject({ status: 200 })
    addresses = 'all'
    await have({ port })
    for (const host of ['127.0.0.1', '127.0.0.9', '::1'])
      expect(await ask(port, '/', { host })).toMatchObject({ status: 200 })
  })

  it('that is taken is told once, holds up no other, and is open after a later sync', async () => {
    const { port: taken, server } = await holdPort(0, '127.0.0.2')
    const free = await freePort()
    addresses = ['127.0.0.1', '127.0.0.2']
    await have({ port: taken }, { name: 'cart', port: free })
    await have({ port: taken }, { name: 'cart', port: free })
    expect(failures).toMatchObject([
      {
        reason: 'FailedToStartServiceHealthcheck',
        service: 'shop/web',
        port: taken,
        message: expect.stringMatching(
          new RegExp(`^cannot open the health-check node port of shop/web at 127\\.0\\.0\\.2:${taken}: .*EADDRINUSE`),
        ),
      },
    ])
    expect(await ask(free, '/')).toMatchObject({ status: 200 })
    // Not on the address that it could have either: a load balancer would take that for the whole.
    await expectClosed(taken)
    await letGo(server)
    await have({ port: taken }, { name: 'cart', port: free })
    for (const host of addresses) expect(await ask(taken, '/', { host })).toMatchObject({ status: 200 })
    expect(failures).toHaveLength(1)
  })

  it('is closed when the agent ends', async () => {
    const port = await freePort()
    await have({ port })
    await ports.close()
    await expectClosed(port)
  })
})
