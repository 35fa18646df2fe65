import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { type AgentConfig, DEFAULT_AGENT_CONFIG } from '../model/proxy-config.js'
import { readAgentConfig } from './read-agent-config.js'

const HEAD = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' }
const read = (fields: object) => readAgentConfig({ ...HEAD, ...fields })
const { client, conntrack, logging, proxy } = DEFAULT_AGENT_CONFIG

describe('readAgentConfig', () => {
  it("has kube-proxy's defaults", () => {
    expect(read({})).toEqual({ config: DEFAULT_AGENT_CONFIG, warnings: [], errors: [] })
  })

  it.each<[string, object, Partial<AgentConfig>]>([
    ['the kubeconfig', { clientConnection: { kubeconfig: '/k' } }, { client: { ...client, kubeconfig: '/k' } }],
    ['bindAddressHardFail', { bindAddressHardFail: true }, { bindAddressHardFail: true }],
    [
      'a bindAddress, which is the node IP',
      { bindAddress: '192.168.55.10' },
      { bindAddress: '192.168.55.10', proxy: { ...proxy, nodeIp: '192.168.55.10' } },
    ],
    [
      'a bindAddress of IPv6, in whose family the servers then listen',
      { bindAddress: '::' },
      {
        bindAddress: '::',
        healthzBindAddress: { host: '::', port: 10_256 },
        metricsBindAddress: { host: '::1', port: 10_249 },
      },
    ],
    ['healthzBindAddress', { healthzBindAddress: '[::1]:80' }, { healthzBindAddress: { host: '::1', port: 80 } }],
    [
      'metricsBindAddress without a port',
      { metricsBindAddress: '0.0.0.0' },
      { metricsBindAddress: { host: '0.0.0.0', port: 10_249 } },
    ],
    ['oomScoreAdj', { oomScoreAdj: -1000 }, { oomScoreAdj: -1000 }],
    ['an oomScoreAdj of 0', { oomScoreAdj: 0 }, { oomScoreAdj: 0 }],
    [
      'conntrack, where 0 is no default',
      { conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' } },
      { conntrack: { ...conntrack, maxPerCore: 0, min: 0, tcpEstablishedTimeoutMs: 0, tcpCloseWaitTimeoutMs: 0 } },
    ],
    [
      'conntrack for UDP',
      { conntrack: { udpTimeout: '30s', udpStreamTimeout: '5m0s', tcpBeLiberal: true } },
      {
        proxy: { ...proxy, tcpBeLiberal: true },
        conntrack: { ...conntrack, udpTimeoutMs: 30_000, udpStreamTimeoutMs: 300_000, tcpBeLiberal: true },
      },
    ],
    [
      'logging',
      { logging: { format: 'json', verbosity: 4, flushFrequency: 5_000_000_000 } },
      { logging: { format: 'json', verbosity: 4 }, withoutEffect: { 'logging.flushFrequency': 5_000_000_000 } },
    ],
    ['logging of text', { logging: { format: 'text', flushFrequency: '5s' } }, { logging }],
    ['enableProfiling', { enableProfiling: true }, { enableProfiling: true }],
    ['rates', { clientConnection: { qps: 2.5, burst: 7 } }, { client: { qps: 2.5, burst: 7 } }],
  ])('reads %s', (_, fields, expected) => {
    const { config, errors } = read(fields)
    expect({ ...config, withoutEffect: expected.withoutEffect ?? {} }).toEqual({ ...DEFAULT_AGENT_CONFIG, ...expected })
    expect(errors).toEqual([])
  })

  it.each([
    [
      'mode',
      { mode: 'ipvs' },
      '"ipvs" is not supported: set it to iptables or leave it out; Kubernetes has deprecated ipvs for nftables, which kube-proxy has',
    ],
    ['bindAddress', { bindAddress: 'eth0' }, '"eth0" is not an IP address'],
    [
      'healthzBindAddress',
      { healthzBindAddress: 'localhost:10256' },
      '"localhost:10256" is not an IP address and a port, such as 127.0.0.1:10249 or [::1]:10249',
    ],
    [
      'metricsBindAddress',
      { metricsBindAddress: '127.0.0.1:0' },
      '"127.0.0.1:0" is not an IP address and a port, such as 127.0.0.1:10249 or [::1]:10249',
    ],
    ['oomScoreAdj', { oomScoreAdj: 1001 }, 'must be a number from -1000 to 1000, and is 1001'],
    ['conntrack.min', { conntrack: { min: -1 } }, 'must be a number from 0 to 2147483647, and is -1'],
    ['conntrack.maxPerCore', { conntrack: { maxPerCore: '8' } }, 'must be a whole number, and is "8"'],
    ['conntrack.udpTimeout', { conntrack: { udpTimeout: '-1s' } }, 'must not be negative, and is -1s'],
    ['clientConnection.burst', { clientConnection: { burst: -1 } }, 'must be a number from 0 to 2147483647, and is -1'],
    ['clientConnection.qps', { clientConnection: { qps: 'fast' } }, 'must be a number, and is "fast"'],
    ['configSyncPeriod', { configSyncPeriod: '-1s' }, 'must not be negative, and is -1s'],
    [
      'featureGates.NoSuchGate',
      { featureGates: { NoSuchGate: true } },
      'is not a feature gate that kube-proxy 1.36 knows: take it out, or correct its name',
    ],
    ['featureGates.AllAlpha', { featureGates: { AllAlpha: 'yes' } }, 'must be true or false, and is "yes"'],
    ['logging.format', { logging: { format: 'xml' } }, 'must be text or json, and is "xml"'],
    ['logging.verbosity', { logging: { verbosity: -1 } }, 'must not be negative, and is -1'],
    ['logging.flushFrequency', { logging: { flushFrequency: '5' } }, '"5" is not a duration such as 30s or 1m0s'],
    ['showHiddenMetricsForVersion', { showHiddenMetricsForVersion: 'all' }, '"all" is not a version such as 1.35'],
  ])('refuses a wrong %s', (path, fields, message) => {
    expect(read(fields).errors).toEqual([{ path, message }])
  })

  it('says once why fields have no effect', () => {
    const { config, warnings, errors } = read({
      ipvs: { scheduler: 'rr', strictARP: true },
      winkernel: { networkName: 'x' },
      featureGates: { PreferSameTrafficDistribution: true },
    })
    expect(errors).toEqual([])
    expect(warnings).toEqual([
      'featureGates: no effect here: each is on for good, or of another component',
      'ipvs.scheduler, ipvs.strictARP: no effect here: that is for the ipvs mode, and the mode is iptables',
      'winkernel.networkName: no effect here: that is for Windows',
    ])
    expect(config.withoutEffect).toEqual({
      featureGates: { PreferSameTrafficDistribution: true },
      'ipvs.scheduler': 'rr',
      'ipvs.strictARP': true,
      'winkernel.networkName': 'x',
    })
  })

  it('warns of fields that it does not know, however deep', () => {
    const { warnings, errors } = read({ conntrack: { maxPerCPU: 1 }, logging: { options: { json: { colour: 1 } } } })
    expect(errors).toEqual([])
    expect(warnings).toEqual([
      'conntrack.maxPerCPU is not a field of a KubeProxyConfiguration, and has no effect',
      'logging.options.json.colour is not a field of a KubeProxyConfiguration, and has no effect',
    ])
  })

  it('takes any value without throwing', () => {
    const fields = ['clientConnection', 'conntrack', 'featureGates', 'logging', 'ipvs', 'bindAddress', 'oomScoreAdj']
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true }),
        fc.constantFrom(...fields),
        (value, field) => {
          readAgentConfig(value)
          readAgentConfig({ ...HEAD, [field]: value })
        },
      ),
    )
  })
})
