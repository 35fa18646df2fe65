import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { service } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { webService, webSlice, worldOf } from '../source/world.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import type { RunningAgent } from './running-agent.js'

const CONNS = fileURLToPath(
  new URL('../../fixtures/security/03-healthz-connections-stop-syncs/conns.mjs', import.meta.url),
)
const NODE_PORTS = Array.from({ length: 60 }, (_, index) => 31_000 + index)

/** fixtures/security/03-healthz-connections-stop-syncs, and the same at the other ports. */
describeIptables('an agent with 1,024 file descriptors whose ports are flooded with connections', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  let agent: RunningAgent
  const holders: { readonly kill: () => void }[] = []
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll([...worldOf(10), ...NODE_PORTS.flatMap(healthChecked)])
    agent = node.startAfter(
      'ulimit -n 1024',
      '--iptables-min-sync-period',
      '100ms',
      '--metrics-bind-address',
      '0.0.0.0',
    )
    await agent.hasSaid(/synced everything/)
    await node.converged(20_000)
  })
  afterEach(() => {
    for (const holder of holders.splice(0)) holder.kill()
  })
  afterAll(async () => {
    await node.stopAll()
    node.remove()
    folder.remove()
  })

  const run = (args: readonly string[]): void => {
    const child = spawn(process.execPath, args, { stdio: 'ignore' })
    holders.push({ kill: () => void child.kill('SIGKILL') })
  }

  /** A change of a Service is in the rules and a probe is answered while connections are held. */
  const expectSyncs = async (changed: number): Promise<void> => {
    await node.server.putAll([webService(changed), webSlice(changed, 3)])
    await node.converged(20_000)
    expect(await node.get('http://127.0.0.1:10256/healthz')).toMatchObject({ status: 200 })
    expect(await node.get('http://127.0.0.1:10249/readyz')).toMatchObject({ status: 200 })
    expect(await node.get(`http://127.0.0.1:${NODE_PORTS[0]}/`)).toMatchObject({ status: 200 })
    expect(agent.said()).not.toMatch(/sync failed|setEncoding|CANNOT_START|EMFILE/)
  }

  test('goes on syncing while 1,200 connections are held at its health port', { timeout: 120_000 }, async () => {
    run([CONNS])
    await agent.hasSaid(/the HTTP ports reached their limit of 256 connections/)
    await expectSyncs(20)
  })

  test('goes on syncing while connections are opened again and again at every port', { timeout: 120_000 }, async () => {
    run(['--eval', HOLD, '1200', '10256', '10249', ...NODE_PORTS.map(String)])
    await expectSyncs(21)
  })
})

function healthChecked(port: number): readonly ReturnType<typeof service>[] {
  const name = `checked-${port}`
  const clusterIP = `10.97.0.${port - 31_000 + 1}`
  return [
    service({
      name,
      spec: {
        type: 'LoadBalancer',
        clusterIP,
        clusterIPs: [clusterIP],
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: port,
      },
    }),
    webSliceOf(name),
  ]
}

function webSliceOf(name: string): ReturnType<typeof webSlice> {
  const made = webSlice(0, 1)
  const endpoints = [{ addresses: ['10.244.1.5'], conditions: { ready: true }, nodeName: 'node-a' }]
  const labels = { 'kubernetes.io/service-name': name }
  return { ...made, endpoints, metadata: { name: `${name}-1`, namespace: 'shop', labels } }
}

/** Holds so many connections, spread over ports; each that is closed is opened again. */
const HOLD = `
const [count, ...ports] = process.argv.slice(1).map(Number)
const hold = (port) => {
  const socket = require('node:net').connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {}).on('close', () => setTimeout(hold, 1000, port)).resume()
}
for (let one = 0; one < count; one++) hold(ports[one % ports.length])
`
