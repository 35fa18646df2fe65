import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { readProxyConfig } from './read-proxy-config.js'

const HEAD = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' }
const read = (fields: object) => readProxyConfig({ ...HEAD, ...fields })
const DUAL = '10.244.0.0/16,fd00:10:244::/48'

describe('readProxyConfig', () => {
  it('takes the modes of the data planes that there are, the first where none is named', () => {
    const modes = ['nftables', 'iptables'] as const
    const modeOf = (mode: string) => readProxyConfig({ ...HEAD, mode }, { modes })
    expect(['', 'nftables', 'iptables'].map((mode) => modeOf(mode).config.mode)).toEqual([
      'nftables',
      'nftables',
      'iptables',
    ])
    expect(modeOf('ipvs').errors).toMatchObject([
      { message: expect.stringContaining('"ipvs" is not supported: set it to nftables or iptables or leave it out') },
    ])
  })

  it("has kube-proxy's defaults and assumes no cluster CIDR", () => {
    expect(read({})).toEqual({ config: DEFAULT_PROXY_CONFIG, warnings: [], errors: [] })
  })

  it.each([
    [
      'clusterCIDR of both families',
      { clusterCIDR: DUAL },
      { detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] } },
    ],
    [
      'clusterCIDR with host bits',
      { clusterCIDR: '10.244.3.4/16' },
      { detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } },
    ],
    ['NodeCIDR', { detectLocalMode: 'NodeCIDR', clusterCIDR: DUAL }, { detectLocal: { mode: 'NodeCIDR' } }],
    [
      'BridgeInterface',
      { detectLocalMode: 'BridgeInterface', detectLocal: { bridgeInterface: 'cbr0' } },
      { detectLocal: { mode: 'BridgeInterface', bridge: 'cbr0' } },
    ],
    [
      'InterfaceNamePrefix',
      { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { interfaceNamePrefix: 'cali' } },
      { detectLocal: { mode: 'InterfaceNamePrefix', prefix: 'cali' } },
    ],
    ['masqueradeAll', { iptables: { masqueradeAll: true } }, { masqueradeAll: true }],
    ['masqueradeBit', { iptables: { masqueradeBit: 0 } }, { masqueradeBit: 0 }],
    ['masqueradeBit null', { iptables: { masqueradeBit: null } }, { masqueradeBit: 14 }],
    ['localhostNodePorts', { iptables: { localhostNodePorts: false } }, { localhostNodePorts: false }],
    [
      'syncPeriod',
      { iptables: { syncPeriod: '1m0s', minSyncPeriod: '1.5s' } },
      { syncPeriodMs: 60_000, minSyncPeriodMs: 1500 },
    ],
    [
      'periods of 0s are the defaults',
      { iptables: { syncPeriod: '0s', minSyncPeriod: '0s' } },
      { syncPeriodMs: 30_000, minSyncPeriodMs: 1000 },
    ],
    [
      'nodePortAddresses',
      { nodePortAddresses: ['192.168.55.7/24', 'fd00:55::/64'] },
      { nodePortAddresses: ['192.168.55.0/24', 'fd00:55::/64'] },
    ],
    ['nodePortAddresses primary', { nodePortAddresses: ['primary'] }, { nodePortAddresses: 'primary' }],
    ['nodePortAddresses empty', { nodePortAddresses: [] }, { nodePortAddresses: 'all' }],
    ['hostnameOverride, as kube-proxy spells it', { hostnameOverride: ' Node-A ' }, { nodeName: 'node-a' }],
    ['tcpBeLiberal', { conntrack: { tcpBeLiberal: true } }, { tcpBeLiberal: true }],
    ['mode iptables', { mode: 'iptables' }, {}],
    [
      'fields of other uses',
      {
        conntrack: { maxPerCore: 0 },
        clientConnection: { kubeconfig: 'x' },
        ipvs: { strictARP: true },
        featureGates: { Any: true },
        logging: { verbosity: 4 },
      },
      {},
    ],
  ])('reads %s', (_, fields, expected) => {
    expect(read(fields)).toEqual({ config: { ...DEFAULT_PROXY_CONFIG, ...expected }, warnings: [], errors: [] })
  })

  it.each([
    [
      'mode',
      { mode: 'ipvs' },
      '"ipvs" is not supported: set it to iptables or leave it out; Kubernetes has deprecated ipvs for nftables, which kube-proxy has',
    ],
    ['mode', { mode: 'nftables' }, '"nftables" is not supported: set it to iptables or leave it out'],
    ['kind', { kind: 'KubeletConfiguration' }, 'must be KubeProxyConfiguration, and is "KubeletConfiguration"'],
    [
      'apiVersion',
      { apiVersion: 'kubeproxy.config.k8s.io/v1alpha2' },
      'must be kubeproxy.config.k8s.io/v1alpha1, and is "kubeproxy.config.k8s.io/v1alpha2"',
    ],
    ['clusterCIDR', { clusterCIDR: '10.244.0.0' }, '"10.244.0.0" is not a CIDR such as 10.244.0.0/16'],
    [
      'clusterCIDR',
      { clusterCIDR: '10.1.0.0/16,10.2.0.0/16' },
      'holds two CIDRs of one family: give one, or one IPv4 and one IPv6',
    ],
    ['clusterCIDR', { clusterCIDR: ['10.1.0.0/16'] }, 'must be a text, and is a list'],
    [
      'detectLocalMode',
      { detectLocalMode: 'Guess' },
      'must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix, and is "Guess"',
    ],
    [
      'detectLocal.bridgeInterface',
      { detectLocalMode: 'BridgeInterface' },
      'must be set where detectLocalMode is BridgeInterface',
    ],
    [
      'detectLocal.interfaceNamePrefix',
      { detectLocalMode: 'InterfaceNamePrefix' },
      'must be set where detectLocalMode is InterfaceNamePrefix',
    ],
    ...['two words', 'say"it"', '-x', 'sixteen-letters-', 'a\nb'].map((bridgeInterface): [string, object, string] => [
      'detectLocal.bridgeInterface',
      { detectLocalMode: 'BridgeInterface', detectLocal: { bridgeInterface } },
      `${JSON.stringify(bridgeInterface)} is no name of a network interface`,
    ]),
    [
      'detectLocal.interfaceNamePrefix',
      { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { interfaceNamePrefix: 'fifteen-letters' } },
      '"fifteen-letters" is no name that one of a network interface can begin with',
    ],
    ['iptables', { iptables: 'yes' }, 'must be a mapping, and is "yes"'],
    ['iptables', { iptables: 'x'.repeat(9000) }, `must be a mapping, and is "${'x'.repeat(80)}..."`],
    ['iptables.masqueradeAll', { iptables: { masqueradeAll: 'yes' } }, 'must be true or false, and is "yes"'],
    ['iptables.masqueradeBit', { iptables: { masqueradeBit: 32 } }, 'must be a bit from 0 to 31, and is 32'],
    ['iptables.masqueradeBit', { iptables: { masqueradeBit: 1.5 } }, 'must be a whole number, and is 1.5'],
    ['iptables.syncPeriod', { iptables: { syncPeriod: '30' } }, '"30" is not a duration such as 30s or 1m0s'],
    ['iptables.syncPeriod', { iptables: { syncPeriod: '-1s' } }, 'must not be negative, and is -1s'],
    [
      'iptables.syncPeriod',
      { iptables: { syncPeriod: '1s', minSyncPeriod: '2s' } },
      'must not be less than iptables.minSyncPeriod',
    ],
    ['nodePortAddresses[1]', { nodePortAddresses: ['10.0.0.0/8', 'eth0'] }, '"eth0" is neither a CIDR nor primary'],
    ['nodePortAddresses[1]', { nodePortAddresses: ['10.0.0.0/8', 'primary'] }, 'primary must stand alone'],
    ['nodePortAddresses', { nodePortAddresses: '10.0.0.0/8' }, 'must be a list of texts, and is "10.0.0.0/8"'],
  ])('names the field that is wrong: %s %j', (path, fields, message) => {
    expect(read(fields).errors).toEqual([{ path, message }])
  })

  it.each([[undefined], [null], ['text'], [['a']], [7]])('says that %j is no configuration', (document) => {
    expect(readProxyConfig(document).errors).toHaveLength(1)
  })

  it('warns of each field that no KubeProxyConfiguration has', () => {
    expect(read({ clusterCidr: 'x', iptables: { masqueradeall: true } }).warnings).toEqual([
      'clusterCidr is not a field of a KubeProxyConfiguration, and has no effect',
      'iptables.masqueradeall is not a field of a KubeProxyConfiguration, and has no effect',
    ])
  })

  it('warns where ClusterCIDR is asked for and none is given', () => {
    const { config, warnings } = read({ detectLocalMode: 'ClusterCIDR' })
    expect(config.detectLocal).toEqual({ mode: 'None' })
    expect(warnings).toHaveLength(1)
  })

  it('takes any value without throwing', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true }),
        fc.constantFrom('iptables', 'clusterCIDR', 'nodePortAddresses', 'conntrack', 'mode'),
        (value, field) => {
          readProxyConfig(value)
          readProxyConfig({ ...HEAD, [field]: value })
        },
      ),
    )
  })
})

describe('mode nftables, where there is such a data plane', () => {
  const modes = ['iptables', 'nftables'] as const
  const read = (fields: object) => readProxyConfig({ ...HEAD, mode: 'nftables', ...fields }, { modes })

  it("has kube-proxy 1.36's defaults: node ports on the primary addresses, and none on loopback", () => {
    expect(read({})).toMatchObject({
      config: { mode: 'nftables', nodePortAddresses: 'primary', localhostNodePorts: false, masqueradeBit: 14 },
      warnings: [],
      errors: [],
    })
    expect(read({ nodePortAddresses: ['0.0.0.0/0'] }).config.nodePortAddresses).toEqual(['0.0.0.0/0'])
    expect(read({ iptables: { localhostNodePorts: true } }).config.localhostNodePorts).toBe(false)
  })

  it('reads its own section, and not that of iptables', () => {
    const iptables = { masqueradeAll: true, masqueradeBit: 3, syncPeriod: '1m', minSyncPeriod: '2s' }
    expect(read({ iptables }).config).toMatchObject({ masqueradeAll: false, masqueradeBit: 14, syncPeriodMs: 30_000 })
    expect(read({ nftables: iptables }).config).toMatchObject({
      masqueradeAll: true,
      masqueradeBit: 3,
      syncPeriodMs: 60_000,
      minSyncPeriodMs: 2000,
    })
    expect(read({ nftables: { syncPeriod: '1s', minSyncPeriod: '2s', masqueradeBit: 32 } }).errors).toEqual([
      { path: 'nftables.masqueradeBit', message: 'must be a bit from 0 to 31, and is 32' },
      { path: 'nftables.syncPeriod', message: 'must not be less than nftables.minSyncPeriod' },
    ])
  })
})

describe('a configuration of another mode', () => {
  const read = (document: object) => readProxyConfig({ kind: 'KubeProxyConfiguration', ...document }, { anyMode: true })

  it('is read where the mode does not matter, with what kube-proxy has in that mode', () => {
    const { config, errors, warnings } = read({
      mode: 'ipvs',
      clusterCIDR: '10.244.0.0/16',
      iptables: { masqueradeAll: true },
    })
    expect(errors).toEqual([])
    expect(config).toMatchObject({
      mode: 'ipvs',
      masqueradeAll: true,
      localhostNodePorts: false,
      nodePortAddresses: 'all',
    })
    expect(warnings).toContainEqual(expect.stringMatching(/^mode is ipvs: .* the same in every mode/))
  })

  it('has node ports on primary addresses where it is nftables', () => {
    const { config } = read({ mode: 'nftables', nftables: { masqueradeAll: true } })
    expect(config).toMatchObject({ mode: 'nftables', masqueradeAll: true, nodePortAddresses: 'primary' })
    expect(read({ mode: 'nftables', nodePortAddresses: ['192.0.2.0/24'] }).config.nodePortAddresses).toEqual([
      '192.0.2.0/24',
    ])
  })

  it('is refused where there is no such mode', () => {
    expect(read({ mode: 'ipsv' }).errors).toMatchObject([{ path: 'mode' }])
  })
})
