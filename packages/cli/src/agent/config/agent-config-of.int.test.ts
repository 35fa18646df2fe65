import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_AGENT_CONFIG } from '@pointsman/core'
import { Command } from 'commander'
import { afterAll, describe, expect, test } from 'vitest'
import { type RunRequest, agentConfigOf } from '../../commands/run/command.js'
import { type AgentOptions, withAgentOptions } from './agent-options.js'

const folder = mkdtempSync(join(tmpdir(), 'pointsman-flags-'))
afterAll(() => rmSync(folder, { recursive: true }))

const HEAD = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n'
const file = (text: string): string => {
  const path = join(folder, 'config.conf')
  writeFileSync(path, HEAD + text)
  return path
}

const stdin = async function* (): AsyncGenerator<string> {
  yield `${HEAD}clusterCIDR: 10.1.0.0/16\n`
}

/** As `pointsman run ARGS` is read, where there is mode iptables alone. */
const run = async (...args: readonly string[]): Promise<RunRequest> => runWith({}, ...args)

async function runWith(
  surroundings: Partial<Parameters<typeof agentConfigOf>[1]>,
  ...args: readonly string[]
): Promise<RunRequest> {
  const command = withAgentOptions(new Command('run'))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
  command.parse([...args], { from: 'user' })
  expect(command.args).toEqual([])
  return agentConfigOf(command.opts<AgentOptions>(), {
    stdin: stdin(),
    env: {},
    hostname: ' Machine-7 ',
    ...surroundings,
  })
}

const { proxy, client, conntrack, logging } = DEFAULT_AGENT_CONFIG

describe('without a flag', () => {
  test('all is as kube-proxy has it by default, and the node is called as the machine is', async () => {
    expect(await run()).toEqual({
      action: 'run',
      config: DEFAULT_AGENT_CONFIG,
      nodeName: 'machine-7',
      settings: {
        log: '/var/lib/pointsman/log.db',
        logMaxAgeMs: 168 * 3_600_000,
        logMaxBytes: 512 * 2 ** 20,
        relistMs: 3_600_000,
        observe: false,
        holdNodePorts: false,
        events: true,
        iptablesVariant: 'auto',
      },
      flags: {
        'iptables-variant': 'auto',
        'log-max-age': '168h',
        'log-max-size': '512Mi',
        'max-log-age-at-start': '0',
        'relist-period': '1h',
      },
      warnings: [],
    })
  })
})

describe('each flag of kube-proxy', () => {
  test.each<[readonly string[], Partial<RunRequest['config']>]>([
    [['--bind-address', '10.0.0.7'], { bindAddress: '10.0.0.7', proxy: { ...proxy, nodeIp: '10.0.0.7' } }],
    [['--bind-address-hard-fail'], { bindAddressHardFail: true }],
    [
      ['--cluster-cidr=10.244.0.0/16'],
      { proxy: { ...proxy, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } } },
    ],
    [['--conntrack-max-per-core', '0'], { conntrack: { ...conntrack, maxPerCore: 0 } }],
    [['--conntrack-min=7'], { conntrack: { ...conntrack, min: 7 } }],
    [
      ['--conntrack-tcp-be-liberal'],
      { conntrack: { ...conntrack, tcpBeLiberal: true }, proxy: { ...proxy, tcpBeLiberal: true } },
    ],
    [['--conntrack-tcp-timeout-close-wait', '1m30s'], { conntrack: { ...conntrack, tcpCloseWaitTimeoutMs: 90_000 } }],
    [['--conntrack-tcp-timeout-established', '0'], { conntrack: { ...conntrack, tcpEstablishedTimeoutMs: 0 } }],
    [['--conntrack-udp-timeout', '30s'], { conntrack: { ...conntrack, udpTimeoutMs: 30_000 } }],
    [['--conntrack-udp-timeout-stream', '3m'], { conntrack: { ...conntrack, udpStreamTimeoutMs: 180_000 } }],
    [['--detect-local-mode', 'NodeCIDR'], { proxy: { ...proxy, detectLocal: { mode: 'NodeCIDR' } } }],
    [['--healthz-bind-address', '[::]:80'], { healthzBindAddress: { host: '::', port: 80 } }],
    [['--hostname-override', 'Node-A'], { proxy: { ...proxy, nodeName: 'node-a' } }],
    [['--iptables-localhost-nodeports=false'], { proxy: { ...proxy, localhostNodePorts: false } }],
    [['--iptables-masquerade-bit', '3'], { proxy: { ...proxy, masqueradeBit: 3 } }],
    [['--iptables-min-sync-period', '5s'], { proxy: { ...proxy, minSyncPeriodMs: 5000 } }],
    [['--iptables-min-sync-period', '0'], { proxy: { ...proxy, minSyncPeriodMs: 0 } }],
    [['--iptables-sync-period', '1m'], { proxy: { ...proxy, syncPeriodMs: 60_000 } }],
    [['--kube-api-burst', '9'], { client: { ...client, burst: 9 } }],
    [['--kube-api-qps', '0.5'], { client: { ...client, qps: 0.5 } }],
    [['--kubeconfig', '/etc/k'], { client: { ...client, kubeconfig: '/etc/k' } }],
    [['--master', 'https://10.0.0.1:6443'], { client: { ...client, server: 'https://10.0.0.1:6443' } }],
    [['--logging-format', 'json'], { logging: { ...logging, format: 'json' } }],
    [['--masquerade-all'], { proxy: { ...proxy, masqueradeAll: true } }],
    [['--metrics-bind-address', '0.0.0.0'], { metricsBindAddress: { host: '0.0.0.0', port: 10_249 } }],
    [
      ['--nodeport-addresses', '10.0.0.0/8', '--nodeport-addresses=fd00::/64,192.168.0.0/16'],
      { proxy: { ...proxy, nodePortAddresses: ['10.0.0.0/8', 'fd00::/64', '192.168.0.0/16'] } },
    ],
    [['--oom-score-adj', '-5'], { oomScoreAdj: -5 }],
    [
      ['--detect-local-mode=BridgeInterface', '--pod-bridge-interface', 'cbr0'],
      { proxy: { ...proxy, detectLocal: { mode: 'BridgeInterface', bridge: 'cbr0' } } },
    ],
    [
      ['--detect-local-mode=InterfaceNamePrefix', '--pod-interface-name-prefix', 'cali'],
      { proxy: { ...proxy, detectLocal: { mode: 'InterfaceNamePrefix', prefix: 'cali' } } },
    ],
    [['--profiling'], { enableProfiling: true }],
    [['--proxy-mode', 'iptables'], {}],
    [['-v', '4'], { logging: { ...logging, verbosity: 4 } }],
    [['-v=4'], { logging: { ...logging, verbosity: 4 } }],
    [['-v4'], { logging: { ...logging, verbosity: 4 } }],
    [['--v=4'], { logging: { ...logging, verbosity: 4 } }],
  ])('%j', async (args, expected) => {
    const { config, warnings } = await run(...args)
    expect({ config, warnings }).toEqual({ config: { ...DEFAULT_AGENT_CONFIG, ...expected }, warnings: [] })
  })

  test.each([
    ['--config-sync-period=1m', 'configSyncPeriod', '1m'],
    ['--feature-gates=AllAlpha=true,WatchListClient=false', 'featureGates', { AllAlpha: true, WatchListClient: false }],
    ['--ipvs-exclude-cidrs=10.0.0.0/8', 'ipvs.excludeCIDRs', ['10.0.0.0/8']],
    ['--ipvs-min-sync-period=1s', 'ipvs.minSyncPeriod', '1s'],
    ['--ipvs-scheduler=rr', 'ipvs.scheduler', 'rr'],
    ['--ipvs-strict-arp', 'ipvs.strictARP', true],
    ['--ipvs-sync-period=1s', 'ipvs.syncPeriod', '1s'],
    ['--ipvs-tcp-timeout=1s', 'ipvs.tcpTimeout', '1s'],
    ['--ipvs-tcpfin-timeout=1s', 'ipvs.tcpFinTimeout', '1s'],
    ['--ipvs-udp-timeout=1s', 'ipvs.udpTimeout', '1s'],
    ['--kube-api-content-type=application/xml', 'clientConnection.contentType', 'application/xml'],
    ['--log-flush-frequency=1s', 'logging.flushFrequency', '1s'],
    ['--log-json-info-buffer-size=1Ki', 'logging.options.json.infoBufferSize', '1Ki'],
    ['--log-json-split-stream', 'logging.options.json.splitStream', true],
    ['--log-text-info-buffer-size=1Ki', 'logging.options.text.infoBufferSize', '1Ki'],
    ['--log-text-split-stream', 'logging.options.text.splitStream', true],
    ['--show-hidden-metrics-for-version=1.35', 'showHiddenMetricsForVersion', '1.35'],
    ['--vmodule=proxier=4', 'logging.vmodule', [{ filePattern: 'proxier', verbosity: 4 }]],
  ])('%s is taken, and said to have no effect', async (argument, path, value) => {
    const { config, warnings } = await run(argument)
    expect(config.withoutEffect).toEqual({ [path]: value })
    expect(warnings).toEqual([expect.stringContaining(`${path}: no effect here: `)])
  })

  test.each(['', '=true', '=T', '=1'])('--masquerade-all%s is true', async (value) => {
    expect((await run(`--masquerade-all${value}`)).config.proxy.masqueradeAll).toBe(true)
  })

  test.each(['=false', '=f', '=0', '=FALSE'])('--masquerade-all%s is false', async (value) => {
    expect((await run('--masquerade-all', `--masquerade-all${value}`)).config.proxy.masqueradeAll).toBe(false)
  })
})

describe('servers', () => {
  test.each([['--metrics-bind-address='], ['--metrics-port=0'], ['--metrics-port', '0']])(
    '%s: no server',
    async (...args) => {
      const { config } = await run(...args)
      expect(config.metricsBindAddress).toBeUndefined()
      expect(config.healthzBindAddress).toEqual(DEFAULT_AGENT_CONFIG.healthzBindAddress)
    },
  )

  test('a port counts for an address without one, and is deprecated', async () => {
    const { config, warnings } = await run('--healthz-bind-address=10.0.0.1', '--healthz-port=9')
    expect(config.healthzBindAddress).toEqual({ host: '10.0.0.1', port: 9 })
    expect(warnings).toEqual(['--healthz-port is deprecated: use --healthz-bind-address'])
    expect((await run('--healthz-port=9')).config.healthzBindAddress).toEqual(DEFAULT_AGENT_CONFIG.healthzBindAddress)
  })
})

describe('with --config', () => {
  test("kubeadm's command line is taken without a word", async () => {
    const path = file('clusterCIDR: 10.244.0.0/16\nhostnameOverride: ""\n')
    const request = await run(`--config=${path}`, '--hostname-override=node-b', '-v=2')
    expect(request).toMatchObject({
      nodeName: 'node-b',
      configFile: { path, text: `${HEAD}clusterCIDR: 10.244.0.0/16\nhostnameOverride: ""\n` },
      warnings: [],
    })
    expect(request.config.proxy).toMatchObject({ nodeName: 'node-b', detectLocal: { cidrs: ['10.244.0.0/16'] } })
    expect(request.config.logging.verbosity).toBe(2)
  })

  test('flags win field by field, and those that kube-proxy would not heed are named', async () => {
    const path = file('clusterCIDR: 10.244.0.0/16\nconntrack: {min: 5, maxPerCore: 6}\n')
    const { config, warnings } = await run('--config', path, '--conntrack-min=9', '--oom-score-adj=1')
    expect(config.conntrack).toMatchObject({ min: 9, maxPerCore: 6 })
    expect(warnings).toEqual([
      `--conntrack-min, --oom-score-adj: overrides ${path}; kube-proxy would use the value in the file`,
    ])
  })

  test('an empty hostname-override leaves the name to the file', async () => {
    expect((await run('--config', file('hostnameOverride: node-f\n'), '--hostname-override=')).nodeName).toBe('node-f')
  })

  test('standard input is read, and not watched', async () => {
    const request = await run('--config', '-')
    expect(request.config.proxy.detectLocal).toEqual({ mode: 'ClusterCIDR', cidrs: ['10.1.0.0/16'] })
    expect(request.configFile).toBeUndefined()
  })
})

describe('what is wrong is named by whoever said it', () => {
  test.each<[readonly string[], string, string | RegExp]>([
    [
      ['--proxy-mode=ipvs'],
      '',
      '--proxy-mode "ipvs" is not supported: set it to iptables or leave it out; Kubernetes has deprecated ipvs for nftables, which kube-proxy has',
    ],
    [['--conntrack-min', 'many'], '', '--conntrack-min must be a whole number, and is "many"'],
    [['--masquerade-all=maybe'], '', '--masquerade-all must be true or false, and is "maybe"'],
    [['--nodeport-addresses', '10.0.0.0/8,eth0'], '', '--nodeport-addresses "eth0" is neither a CIDR nor primary'],
    [
      ['--iptables-sync-period=1s', '--iptables-min-sync-period=2s'],
      '',
      '--iptables-sync-period must not be less than --iptables-min-sync-period',
    ],
    [['--iptables-sync-period=0s'], '', '--iptables-sync-period must be greater than 0'],
    [['--iptables-min-sync-period=-1s'], '', '--iptables-min-sync-period must not be negative, and is -1s'],
    [
      ['--feature-gates', 'Nothing=true'],
      '',
      '--feature-gates Nothing is not a feature gate that kube-proxy 1.36 knows: take it out, or correct its name',
    ],
    [
      ['--feature-gates', 'AllAlpha'],
      '',
      '--feature-gates "AllAlpha" has no value: give comma-separated NAME=VALUE pairs',
    ],
    [['--metrics-port=x'], '', '--metrics-port "x" is not a port number'],
    [['--observe=perhaps'], '', '--observe must be true or false, and is "perhaps"'],
    [['--log-max-age=7d'], '', '--log-max-age "7d" is not a duration such as 168h or 30m'],
    [['--log-max-size=big'], '', '--log-max-size "big" is not a size such as 512Mi, 2Gi or a number of bytes'],
    [[], 'mode: nftables\n', /config\.conf: .*mode "nftables" is not supported: set it to iptables or leave it out/],
    [['--oom-score-adj=1'], 'iptables: {masqueradeBit: 77}\n', /config\.conf: .*iptables\.masqueradeBit must be a bit/],
    [[], 'conntrack: {min: -1}\nmode: x\n', /\(.*, and 1 more\)$/],
  ])('%j %s', async (args, text, message) => {
    const told = await run(...args, ...(text === '' ? [] : ['--config', file(text)])).catch((error: unknown) => error)
    expect(told).toBeInstanceOf(Error)
    if (typeof message === 'string') expect((told as Error).message).toBe(message)
    else expect((told as Error).message).toMatch(message)
    expect((told as Error).message).not.toContain('\n')
  })

  test('a field that is wrong in the file does not matter where a flag says it', async () => {
    const { config } = await run('--config', file('oomScoreAdj: 9999\n'), '--oom-score-adj=4')
    expect(config.oomScoreAdj).toBe(4)
  })
})

describe('where there are several modes', () => {
  const dataplanes = [
    { mode: 'iptables', layouts: ['current', 'classic'] },
    { mode: 'nftables', layouts: ['kube-proxy', 'compact'] },
  ] as const
  const read = async (...args: readonly string[]) =>
    runWith({ modes: ['iptables', 'nftables'], dataplanes }, ...args).then(
      ({
        config: {
          proxy: { mode, layout, syncPeriodMs, masqueradeAll },
        },
      }) => ({ mode, layout, syncPeriodMs, masqueradeAll }),
      (error: unknown) => (error as Error).message,
    )

  test('each has its first layout by default, and those alone', async () => {
    expect(await read()).toMatchObject({ mode: 'iptables', layout: 'current' })
    expect(await read('--proxy-mode', 'nftables')).toMatchObject({ mode: 'nftables', layout: 'kube-proxy' })
    expect(await read('--config', file('mode: nftables\n'), '--layout', 'compact')).toMatchObject({ layout: 'compact' })
    expect(await read('--proxy-mode', 'nftables', '--layout', 'classic')).toBe(
      '--layout classic is none of mode nftables: it has kube-proxy and compact',
    )
    expect(await read('--layout', 'compact')).toBe(
      '--layout compact is none of mode iptables: it has current and classic',
    )
  })

  test('flags that kube-proxy uses in mode nftables as well decide there, by their own names', async () => {
    const flags = ['--iptables-sync-period=1m', '--masquerade-all']
    expect(await read('--proxy-mode=nftables', ...flags)).toMatchObject({ syncPeriodMs: 60_000, masqueradeAll: true })
    expect(await read('--config', file('mode: nftables\n'), ...flags)).toMatchObject({ syncPeriodMs: 60_000 })
    expect(await read('--proxy-mode=nftables', '--iptables-sync-period=soon')).toBe(
      '--iptables-sync-period "soon" is not a duration such as 30s or 1m0s',
    )
    expect(await read('--proxy-mode=nftables', '--iptables-sync-period=1s', '--iptables-min-sync-period=2s')).toBe(
      '--iptables-sync-period must not be less than --iptables-min-sync-period',
    )
  })
})

describe('what is asked for besides running', () => {
  test.each([
    [['--version'], 'version'],
    [['--version=raw'], 'version'],
    [['--write-config-to', 'x', '--cleanup'], 'write-config'],
    [['--cleanup', '--init-only'], 'cleanup'],
    [['--init-only=true'], 'init-only'],
    [['--cleanup=false', '--init-only=0', '--version=false'], 'run'],
  ])('%j: %s', async (args, action) => expect((await run(...args)).action).toBe(action))
})

describe('our own settings', () => {
  test('are flags alone', async () => {
    const { settings, config, flags } = await run(
      '--log=/l',
      '--observe',
      '--nfacct=false',
      '--family=ipv4',
      '--iptables-variant=legacy',
      '--log-max-age=0',
      '--log-max-size=2Gi',
      '--max-log-age-at-start=30m',
      '--relist-period=0',
      '--node-address=10.0.0.1',
    )
    expect(config.proxy.families).toEqual(['IPv4'])
    expect(flags).toMatchObject({ 'log-max-size': '2Gi', observe: 'true', nfacct: 'false', 'node-address': '10.0.0.1' })
    expect(settings).toEqual({
      log: '/l',
      logMaxBytes: 2 ** 31,
      maxLogAgeAtStartMs: 1_800_000,
      relistMs: Number.POSITIVE_INFINITY,
      observe: true,
      nfacct: false,
      holdNodePorts: false,
      events: true,
      family: 'ipv4',
      iptablesVariant: 'legacy',
      interfaceAddresses: ['10.0.0.1', '127.0.0.1', '::1'],
    })
  })

  test.each([
    [[], false],
    [['--layout=classic'], true],
    [['--layout=classic', '--hold-node-ports=false'], false],
    [['--hold-node-ports'], true],
  ] as const)('%j: node ports are held open: %s', async (args, expected) => {
    const { settings } = await run(...args)
    expect(settings.holdNodePorts).toBe(expected)
  })
})
