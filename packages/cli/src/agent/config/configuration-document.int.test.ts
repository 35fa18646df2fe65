import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { configDocument, DEFAULT_AGENT_CONFIG, FIELDS_WITHOUT_EFFECT, KNOWN_CONFIG_FIELDS } from '@pointsman/core'
import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { KUBE_PROXY_FLAGS, withConfigOptions } from '../../input/proxy-config.js'
import { withAgentOptions } from './agent-options.js'

const root = fileURLToPath(new URL('../../../../../', import.meta.url))
const document = readFileSync(`${root}docs/configuration.md`, 'utf8')

/** The cells of a row, without the ticks of code. */
const cellsOf = (line: string): readonly string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.replaceAll('`', '').trim())
const lines = document.split('\n').filter((line) => line.startsWith('| `'))
const fieldRows = lines.map(cellsOf).filter(([first = '']) => !first.startsWith('--'))

const mappings = new Set(KNOWN_CONFIG_FIELDS.keys())
const fields = [...KNOWN_CONFIG_FIELDS]
  .flatMap(([path, names]) => [...names].map((name) => (path === '' ? name : `${path}.${name}`)))
  .filter((path) => !mappings.has(path))

const flagsOf = (command: Command): readonly string[] => command.options.flatMap(({ long }) => long ?? [])

describe('docs/configuration.md', () => {
  test('has a row for each field, once', () => {
    expect(fieldRows.map(([field = '']) => field).toSorted()).toEqual(fields.toSorted())
  })

  test('has each flag, once, with its field', () => {
    const documented = lines.map(cellsOf).flatMap((cells) => cells.slice(0, 2).filter((cell) => cell.startsWith('--')))
    expect(documented.toSorted()).toEqual(flagsOf(withAgentOptions(new Command('run'))).toSorted())
    const flagOf = new Map(KUBE_PROXY_FLAGS.map(({ path, flag }) => [path, flag]))
    for (const [field = '', flag = ''] of fieldRows)
      expect(`${field} ${flag}`).toBe(`${field} ${flagOf.get(field) ?? ''}`)
  })

  test('says of the fields without effect, and of no others, that they have none', () => {
    const without = fieldRows.filter(([, , , does = '']) => does.startsWith('no effect: ')).map(([field = '']) => field)
    expect(without.toSorted()).toEqual([...FIELDS_WITHOUT_EFFECT.keys()].toSorted())
  })

  test("tells kube-proxy's defaults as they are", () => {
    const defaults = configDocument(DEFAULT_AGENT_CONFIG)
    for (const [field = '', , told = ''] of fieldRows) {
      if (!/^(?:-?\d|true|false|iptables|text$)/.test(told)) continue
      const value = field
        .split('.')
        .reduce<unknown>((whole, step) => (whole as Record<string, unknown>)[step], defaults)
      expect(`${field} ${told}`).toBe(`${field} ${String(value)}`)
    }
  })
})

describe('flags', () => {
  test('of other commands are flags of run, and say the same field', () => {
    const run = new Set(flagsOf(withAgentOptions(new Command('run'))))
    expect(flagsOf(withConfigOptions(new Command('render'))).filter((flag) => !run.has(flag))).toEqual([])
  })

  test('say fields that there are', () => {
    expect(KUBE_PROXY_FLAGS.filter(({ path }) => !fields.includes(path))).toEqual([])
  })
})

const RULES = 'packages/backend-iptables/src/ruleset'
const MACHINE = 'packages/cli/src/agent/machine-settings.test.ts'
const LOCALITY = 'packages/core/src/route/route-local-detection.test.ts'
const FLAGS = 'packages/cli/src/agent/config/agent-config-of.int.test.ts'
const REFUSED = 'packages/core/src/config/read-proxy-config.test.ts'
const SERVERS = 'packages/cli/src/agent/http/start-server.int.test.ts'

/** Where each field that has an effect is made to do something: a test's file, and its name there. */
const EFFECTS: Readonly<Record<string, readonly [file: string, name: string]>> = {
  apiVersion: [REFUSED, 'must be kubeproxy.config.k8s.io/v1alpha1, and is'],
  kind: [REFUSED, 'must be KubeProxyConfiguration, and is'],
  mode: [REFUSED, '"nftables" is not supported'],
  bindAddress: [`${RULES}/node-port-rules.test.ts`, 'on the node IP with `primary`'],
  bindAddressHardFail: [SERVERS, 'is the end where that is asked for'],
  'clientConnection.burst': [
    'packages/core/src/io/kubernetes/server/connection.int.test.ts',
    'those beyond the limit wait',
  ],
  'clientConnection.kubeconfig': [
    'packages/core/src/io/kubernetes/server/connection.int.test.ts',
    'by the authority of the kubeconfig',
  ],
  'clientConnection.qps': [
    'packages/core/src/io/kubernetes/server/connection.int.test.ts',
    'those beyond the limit wait',
  ],
  clusterCIDR: [LOCALITY, 'ClusterCIDR: out of it'],
  'conntrack.maxPerCore': [MACHINE, 'nf_conntrack_max by the CPUs'],
  'conntrack.min': [MACHINE, 'nf_conntrack_max 131072'],
  'conntrack.tcpBeLiberal': [MACHINE, 'liberal tracking of TCP'],
  'conntrack.tcpCloseWaitTimeout': [MACHINE, 'the timeout of TCP in CLOSE_WAIT'],
  'conntrack.tcpEstablishedTimeout': [MACHINE, 'the timeout of established TCP'],
  'conntrack.udpStreamTimeout': [MACHINE, 'the timeout of UDP streams'],
  'conntrack.udpTimeout': [MACHINE, 'the timeout of UDP'],
  'detectLocal.bridgeInterface': [LOCALITY, 'BridgeInterface: by the bridge'],
  'detectLocal.interfaceNamePrefix': [LOCALITY, 'InterfaceNamePrefix: by such an interface'],
  detectLocalMode: [LOCALITY, 'NodeCIDR: a pod of another node'],
  enableProfiling: ['packages/cli/src/agent/http/metrics-server.test.ts', 'sets the verbosity where profiling is on'],
  healthzBindAddress: [SERVERS, 'answers on its own address alone'],
  hostnameOverride: [FLAGS, "kubeadm's command line is taken without a word"],
  'iptables.localhostNodePorts': [`${RULES}/node-port-rules.test.ts`, 'localhostNodePorts: false'],
  'iptables.masqueradeAll': [`${RULES}/cluster-ip-rules.test.ts`, 'from wherever, with masqueradeAll'],
  'iptables.masqueradeBit': [`${RULES}/plan-base.test.ts`, 'mark with bit %i'],
  'iptables.minSyncPeriod': ['packages/core/src/pipeline/bounded-frequency.test.ts', 'waits from the end of a run'],
  'iptables.syncPeriod': [
    'packages/core/src/pipeline/bounded-frequency.test.ts',
    'with a pause that doubles up to a limit',
  ],
  'logging.format': ['packages/cli/src/agent/agent-logger.test.ts', 'json'],
  'logging.verbosity': ['packages/cli/src/agent/agent-logger.test.ts', 'verbosity'],
  metricsBindAddress: [SERVERS, 'answers on its own address alone'],
  nodePortAddresses: [`${RULES}/node-port-rules.test.ts`, 'on the addresses of the node that lie in nodePortAddresses'],
  oomScoreAdj: [MACHINE, 'oom_score_adj -999'],
}

describe('each field with an effect', () => {
  test('has a test that makes it do something', () => {
    const withEffect = fields.filter((path) => !FIELDS_WITHOUT_EFFECT.has(path))
    expect(Object.keys(EFFECTS).toSorted()).toEqual(withEffect.toSorted())
  })

  test.each(Object.entries(EFFECTS))('%s: %j', (_, [file, name]) => {
    expect(existsSync(`${root}${file}`)).toBe(true)
    expect(readFileSync(`${root}${file}`, 'utf8')).toContain(name)
  })
})
