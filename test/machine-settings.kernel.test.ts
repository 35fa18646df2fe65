import { DEFAULT_AGENT_CONFIG } from '@pointsman/core'
import { expect, test } from 'vitest'
import {
  createKernelNamespace,
  describeWithKernel,
  type KernelNamespace,
} from '../packages/backend-iptables/src/test-support/kernel.js'
import { applyMachineSettings, type MachineFiles } from '../packages/cli/src/agent/machine-settings.js'

/** The files of a namespace. What is the whole machine's is not touched: the limit, the hash table, processes. */
const filesOf = ({ run }: KernelNamespace): MachineFiles => ({
  readFile: async (path) => run('cat', path),
  writeFile: async (path, text) => {
    if (!path.startsWith('/proc/sys/net/netfilter/nf_conntrack_')) throw new Error(`${path} is the machine's`)
    run('sh', '-c', `echo ${text} > ${path}`)
  },
  cpus: 2,
})

describeWithKernel('the settings of a machine', () => {
  test('are taken by the kernel: how long it remembers connections, and how strict it is', async () => {
    const namespace = createKernelNamespace()
    try {
      const conntrack = {
        ...DEFAULT_AGENT_CONFIG.conntrack,
        maxPerCore: 0,
        tcpEstablishedTimeoutMs: 7_200_000,
        tcpCloseWaitTimeoutMs: 121_000,
        udpTimeoutMs: 31_000,
        udpStreamTimeoutMs: 122_000,
        tcpBeLiberal: true,
      }
      const oomScoreAdj = Number(namespace.run('cat', '/proc/self/oom_score_adj'))
      const { changes, warnings } = await applyMachineSettings({ conntrack, oomScoreAdj }, filesOf(namespace))
      expect(warnings).toEqual([])
      const now = changes.map(({ path }) => `${path.split('/').at(-1)} ${namespace.run('cat', path).trim()}`)
      expect(now).toEqual([
        'nf_conntrack_tcp_timeout_established 7200',
        'nf_conntrack_tcp_timeout_close_wait 121',
        'nf_conntrack_tcp_be_liberal 1',
        'nf_conntrack_udp_timeout 31',
        'nf_conntrack_udp_timeout_stream 122',
      ])
      expect(await applyMachineSettings({ conntrack, oomScoreAdj }, filesOf(namespace))).toEqual({
        changes: [],
        warnings: [],
      })
    } finally {
      namespace.remove()
    }
  })
})
