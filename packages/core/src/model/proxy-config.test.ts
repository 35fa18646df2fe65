import { describe, expect, test } from 'vitest'
import type { JsonObject } from './kubernetes-object.js'
import {
  configOfRecord,
  DEFAULT_PROXY_CONFIG,
  storedConfig,
  type DetectLocal,
  type ProxyConfig,
} from './proxy-config.js'

describe('the configuration in a log', () => {
  const elsewhere: ProxyConfig = {
    mode: 'nftables',
    nodeName: 'node-a',
    nodeIp: '192.0.2.1',
    families: ['IPv6'],
    layout: 'classic',
    detectLocal: { mode: 'None' },
    masqueradeAll: true,
    masqueradeBit: 0,
    localhostNodePorts: false,
    nodePortAddresses: ['192.0.2.0/24'],
    tcpBeLiberal: true,
    minSyncPeriodMs: 0,
    syncPeriodMs: 1.5,
  }
  const modes: readonly DetectLocal[] = [
    { mode: 'None' },
    { mode: 'ClusterCIDR', cidrs: ['10.0.0.0/8', 'fd00::/48'] },
    { mode: 'NodeCIDR' },
    { mode: 'BridgeInterface', bridge: 'cbr0' },
    { mode: 'InterfaceNamePrefix', prefix: 'cali' },
  ]

  test.each([
    DEFAULT_PROXY_CONFIG,
    elsewhere,
    { ...elsewhere, layout: 'compact' as const },
    ...modes.map((detectLocal) => ({ ...elsewhere, detectLocal })),
  ])('is read as it was written: %j', (config) => {
    const text = JSON.stringify(storedConfig(config))
    expect(configOfRecord(JSON.parse(text) as JsonObject)).toEqual(config)
  })

  test('has its defaults where an older log lacks a field', () => {
    expect(configOfRecord({ masqueradeAll: true })).toEqual({ ...DEFAULT_PROXY_CONFIG, masqueradeAll: true })
  })

  test.each<JsonObject>([
    { nodeName: 1, nodeIp: null, families: 'IPv4', layout: 'other', detectLocal: 'None' },
    { masqueradeAll: 'true', masqueradeBit: 32, localhostNodePorts: 0, nodePortAddresses: [1], tcpBeLiberal: {} },
    { masqueradeBit: 1.5, minSyncPeriodMs: -1, syncPeriodMs: '30s', detectLocal: { mode: 'ClusterCIDR', cidrs: 5 } },
    { mode: 1, detectLocal: { mode: 'BridgeInterface' }, nodePortAddresses: 'some' },
  ])('has its defaults where a field has another type: %j', (stored) => {
    expect(configOfRecord(stored)).toEqual(DEFAULT_PROXY_CONFIG)
  })
})
