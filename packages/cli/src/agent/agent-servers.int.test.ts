import { DEFAULT_AGENT_CONFIG, type IpFamily, type ProxyConfig } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type AgentServers, startAgentServers } from './agent-servers.js'
import { createAgentHealth } from './health/readiness.js'
import { synced } from './health/test-support/agent-events.js'
import { ask, freePort } from './http/test-support/ask.js'

/** What the interfaces of the node bear. */
const ADDRESSES = ['127.0.0.1', '127.0.0.2', '::1']
const HOSTS = [...ADDRESSES, '127.0.0.3']
const DUAL = ['IPv4', 'IPv6'] as const

let servers: AgentServers | undefined
afterEach(() => servers?.close())

/** On which of the hosts a health-check node port of an agent is open. */
async function openOn(proxy: Pick<ProxyConfig, 'families' | 'nodePortAddresses'>): Promise<readonly string[]> {
  const port = await freePort()
  const state = stateOf({
    node: { addresses: ['127.0.0.1', '::1'] },
    ports: [
      {
        is: 'shop/web:http',
        clusterIP: '10.96.0.1',
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: port,
        endpoints: ['10.244.1.1:80@node-a'],
      },
    ],
  })
  const { healthzBindAddress: _, metricsBindAddress: __, ...config } = DEFAULT_AGENT_CONFIG
  const { syncPeriodMs, minSyncPeriodMs } = config.proxy
  const warnings: string[] = []
  const started = startAgentServers({
    config: { ...config, proxy: { ...config.proxy, ...proxy } },
    health: createAgentHealth({
      families: proxy.families,
      syncPeriodMs,
      minSyncPeriodMs,
      clock: () => 0,
      steady: () => 0,
    }),
    metrics: { registry: new Registry(), on: () => undefined },
    mode: 'iptables',
    lastSent: () => undefined,
    state: () => state,
    interfaceAddresses: () => ADDRESSES,
    build: { version: '0', runtimeVersion: 'v20' },
    flags: {},
    observe: false,
    now: () => 0,
    setVerbosity: () => undefined,
    emit: () => undefined,
    onWarning: (message) => warnings.push(message),
  })
  servers = started
  started.on(synced({ toSeq: 1, startedAt: 0, endedAt: 0, state }))
  const isOpen = (host: string): Promise<boolean> =>
    ask(port, '/', { host }).then(
      () => true,
      () => false,
    )
  const hosts = async (): Promise<readonly string[]> => {
    const open = await Promise.all(HOSTS.map(isOpen))
    return HOSTS.filter((_host, at) => open[at])
  }
  const found = await vi.waitFor(async () => {
    const open = await hosts()
    expect(open).not.toEqual([])
    return open
  })
  expect(warnings).toEqual([])
  return found
}

describe('health-check node ports are open where node ports are', () => {
  it.each<[string, readonly IpFamily[], ProxyConfig['nodePortAddresses'], readonly string[]]>([
    ['everywhere', ['IPv4'], 'all', HOSTS],
    ['on the addresses of a network', ['IPv4'], ['127.0.0.2/31'], ['127.0.0.2']],
    ['of either family', DUAL, ['127.0.0.2/32', '::1/128'], ['127.0.0.2', '::1']],
    ['everywhere, where one family is left out', DUAL, ['127.0.0.2/32'], HOSTS],
    ['everywhere, where one family has all', DUAL, ['127.0.0.2/32', '::/0'], HOSTS],
  ])('%s', async (_, families, nodePortAddresses, hosts) => {
    expect(await openOn({ families, nodePortAddresses })).toEqual(hosts)
  })
})
