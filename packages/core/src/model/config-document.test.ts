import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_AGENT_CONFIG } from './proxy-config.js'
import { configDocument } from '../config/config-document.js'
import { FIELDS_WITHOUT_EFFECT, KNOWN_CONFIG_FIELDS } from '../config/known-fields.js'
import { readAgentConfig } from '../config/read-agent-config.js'

const HEAD = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' }

describe('configDocument', () => {
  it('writes every default out, without a word of warning when it is read again', () => {
    const document = configDocument(DEFAULT_AGENT_CONFIG)
    expect(document).toMatchObject({
      ...HEAD,
      conntrack: { maxPerCore: 32_768, min: 131_072, tcpEstablishedTimeout: '24h0m0s', tcpCloseWaitTimeout: '1h0m0s' },
      healthzBindAddress: '0.0.0.0:10256',
      metricsBindAddress: '127.0.0.1:10249',
      iptables: { masqueradeBit: 14, minSyncPeriod: '1s', syncPeriod: '30s' },
      nodePortAddresses: null,
      oomScoreAdj: -999,
    })
    expect(readAgentConfig(document)).toEqual({ config: DEFAULT_AGENT_CONFIG, warnings: [], errors: [] })
  })

  it('has every field that Go would not leave out', () => {
    const leftOut = new Set(['featureGates', 'windowsRunAsService', 'vmodule', 'splitStream'])
    const document = configDocument(DEFAULT_AGENT_CONFIG)
    for (const [path, names] of KNOWN_CONFIG_FIELDS) {
      const steps = path === '' ? [] : path.split('.')
      const mapping = steps.reduce<unknown>((whole, step) => (whole as Record<string, unknown>)[step], document)
      expect(Object.keys(mapping as object).toSorted()).toEqual(
        [...names].filter((name) => !leftOut.has(name)).toSorted(),
      )
    }
  })

  it('reads back as what it was written from', () => {
    fc.assert(
      fc.property(configurations, (fields) => {
        const { config, errors } = readAgentConfig({ ...HEAD, ...fields })
        expect(errors).toEqual([])
        expect(readAgentConfig(configDocument(config)).config).toEqual(config)
      }),
    )
  })

  it("of mode nftables has that mode's section, and reads back as what it was written from", () => {
    const read = (document: unknown) => readAgentConfig(document, { modes: ['iptables', 'nftables'] })
    const given = {
      mode: 'nftables',
      nftables: { masqueradeAll: true, syncPeriod: '1m' },
      iptables: { masqueradeBit: 3 },
    }
    const { config, warnings } = read({ ...HEAD, ...given })
    expect(warnings).toEqual([
      'iptables.masqueradeBit: no effect here: that is for the iptables mode, and the mode is nftables',
    ])
    expect(configDocument(config)).toMatchObject({
      nftables: { masqueradeAll: true, masqueradeBit: 14, minSyncPeriod: '1s', syncPeriod: '1m0s' },
      iptables: { localhostNodePorts: true, masqueradeAll: false, masqueradeBit: 3, syncPeriod: '0s' },
      nodePortAddresses: ['primary'],
    })
    expect(read(configDocument(config)).config).toEqual(config)
  })

  it('keeps fields without effect as they were given', () => {
    const { config } = readAgentConfig({ ...HEAD, ipvs: { scheduler: 'rr' }, windowsRunAsService: true })
    expect(configDocument(config)).toMatchObject({
      ipvs: { scheduler: 'rr', strictARP: false },
      windowsRunAsService: true,
    })
  })
})

describe('fields without effect', () => {
  it('are fields', () => {
    const fields = new Set(
      [...KNOWN_CONFIG_FIELDS].flatMap(([path, names]) =>
        [...names].map((name) => (path === '' ? name : `${path}.${name}`)),
      ),
    )
    expect([...FIELDS_WITHOUT_EFFECT.keys()].filter((path) => !fields.has(path))).toEqual([])
  })
})

const duration = fc.constantFrom('0s', '30s', '1m30s', '1.5s', '250ms', '26h0m1s')
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => fc.option(value)
const configurations = fc.record(
  {
    bindAddress: fc.constantFrom('', '0.0.0.0', '::', '192.168.55.10', 'fd00::10'),
    bindAddressHardFail: fc.boolean(),
    clientConnection: fc.record({ kubeconfig: fc.constantFrom('', '/etc/k'), qps: fc.nat(), burst: count }),
    clusterCIDR: fc.constantFrom('', '10.244.0.0/16', '10.244.0.0/16,fd00::/48'),
    configSyncPeriod: duration,
    conntrack: fc.record({
      maxPerCore: maybe(count),
      min: maybe(count),
      tcpEstablishedTimeout: maybe(duration),
      tcpCloseWaitTimeout: maybe(duration),
      udpTimeout: duration,
      udpStreamTimeout: duration,
      tcpBeLiberal: fc.boolean(),
    }),
    detectLocal: fc.constant({ bridgeInterface: 'br0', interfaceNamePrefix: 'veth' }),
    detectLocalMode: fc.constantFrom('', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'),
    enableProfiling: fc.boolean(),
    featureGates: fc.dictionary(fc.constantFrom('AllAlpha', 'WatchListClient'), fc.boolean()),
    healthzBindAddress: fc.constantFrom('', '127.0.0.1:1', '[::]:65535', '::1'),
    hostnameOverride: fc.constantFrom('', 'node-a'),
    iptables: fc.record({
      localhostNodePorts: maybe(fc.boolean()),
      masqueradeAll: fc.boolean(),
      masqueradeBit: maybe(fc.integer({ min: 0, max: 31 })),
      minSyncPeriod: fc.constantFrom('0s', '10ms', '1s'),
      syncPeriod: fc.constantFrom('0s', '1s', '1h0m0s'),
    }),
    ipvs: fc.record({ scheduler: fc.constantFrom('', 'rr'), strictARP: fc.boolean(), syncPeriod: duration }),
    logging: fc.record({
      format: fc.constantFrom('', 'text', 'json'),
      verbosity: fc.nat(10),
      flushFrequency: fc.nat(),
    }),
    nodePortAddresses: fc.constantFrom(null, [], ['primary'], ['10.0.0.0/8', 'fd00::/64']),
    oomScoreAdj: maybe(fc.integer({ min: -1000, max: 1000 })),
  },
  { requiredKeys: ['detectLocal'] },
)
