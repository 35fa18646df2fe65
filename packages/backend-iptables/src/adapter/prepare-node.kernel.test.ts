import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { type Run, runProcess } from 'node-iptables'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createKernelNamespace, describeWithKernel, type KernelNamespace } from '../test-support/kernel.js'
import { prepareNode } from './prepare-node.js'

const ROUTE_LOCALNET = '/proc/sys/net/ipv4/conf/all/route_localnet'

describeWithKernel('a node that is prepared', () => {
  let namespace: KernelNamespace
  beforeEach(() => {
    namespace = createKernelNamespace()
    // A new namespace begins with the machine's settings.
    namespace.run('sysctl', '-q', '-w', 'net.ipv4.conf.all.route_localnet=0')
  })
  afterEach(() => namespace.remove())

  const prepare = (config = DEFAULT_PROXY_CONFIG, run: Run = runProcess) =>
    prepareNode({ run, prefix: namespace.prefix, config, families: ['IPv4', 'IPv6'] })

  test('has the counters, once, and routes localhost', async () => {
    expect(namespace.run('cat', ROUTE_LOCALNET)).toBe('0\n')
    for (let time = 0; time < 2; time++) {
      expect(await prepare()).toEqual({ nfacct: true, tcpBeLiberal: false, warnings: [] })
    }
    expect(namespace.run('nfacct', 'list')).toContain('ct_state_invalid_dropped_pkts')
    expect(namespace.run('nfacct', 'list')).toContain('localhost_nps_accepted_pkts')
    expect(namespace.run('cat', ROUTE_LOCALNET)).toBe('1\n')
  })

  test('does not route localhost when node ports are not to answer there', async () => {
    await prepare({ ...DEFAULT_PROXY_CONFIG, localhostNodePorts: false })
    await prepare({ ...DEFAULT_PROXY_CONFIG, nodePortAddresses: ['10.0.0.0/8'] })
    expect(namespace.run('cat', ROUTE_LOCALNET)).toBe('0\n')
  })

  test('says what the kernel has for connections that break the rules of TCP', async () => {
    namespace.run('sysctl', '-q', '-w', 'net.netfilter.nf_conntrack_tcp_be_liberal=1')
    expect(await prepare()).toMatchObject({ tcpBeLiberal: true })
  })

  test('does without what it cannot have, and says what follows', async () => {
    const withoutPrograms: Run = (request) =>
      runProcess({ ...request, argv: request.argv.map((word) => (/^(?:nfacct|tee)$/.test(word) ? 'false' : word)) })
    expect(await prepare(DEFAULT_PROXY_CONFIG, withoutPrograms)).toMatchObject({
      nfacct: false,
      warnings: [expect.stringContaining('node ports will not answer on localhost')],
    })
  })
})
