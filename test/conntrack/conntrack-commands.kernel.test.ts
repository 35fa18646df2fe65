import { runProcess } from 'node-iptables'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { groupOf } from '@pointsman/core'
import { conntrackCommands } from '@pointsman/core/io'
import {
  createKernelNamespace,
  describeWithKernel,
  type KernelNamespace,
} from '../../packages/backend-iptables/src/test-support/kernel.js'
import { describeFlowTable } from '../../packages/core/src/conntrack/test-support/conntrack-contract.js'
import { flowOf } from '../../packages/core/src/conntrack/test-support/flow-text.js'

describeWithKernel(
  'conntrack(8) in a namespace of its own',
  () => {
    describe('does what the fake does', () => {
      describeFlowTable(() => {
        const namespace = createKernelNamespace()
        return {
          table: conntrackCommands({ run: runProcess, prefix: namespace.prefix }),
          add: async (...flows) => {
            for (const flow of flows) await addFlow(namespace, flow)
          },
          end: () => namespace.remove(),
        }
      })
    })

    describe('fails with a code', () => {
      let namespace: KernelNamespace
      beforeEach(() => {
        namespace = createKernelNamespace()
      })
      afterEach(() => namespace.remove())

      test.each([
        ['NOT_FOUND', { executable: 'conntrack-that-is-not-there' }, []],
        ['NO_PERMISSION', {}, ['setpriv', '--reuid=65534', '--clear-groups', '--bounding-set=-all']],
        ['TIMED_OUT', { executable: 'sleep-of-conntrack', timeoutMs: 1 }, ['sh', '-c', 'sleep 60']],
      ])('%s', async (code, options, words) => {
        const commands = conntrackCommands({ run: runProcess, prefix: [...namespace.prefix, ...words], ...options })
        await expect(commands.listFlows({ family: 'IPv4', protocol: 'udp' }, () => undefined)).rejects.toMatchObject({
          code,
        })
        const group = groupOf(flowOf('10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53'))
        await expect(commands.deleteFlows(group)).rejects.toMatchObject({ code })
      })
    })
  },
  ['conntrack', 'setpriv'],
)

async function addFlow(namespace: KernelNamespace, text: string): Promise<void> {
  const { original, reply, zone } = flowOf(text)
  const ends = `--orig-src ${original.src} --orig-dst ${original.dst} --reply-src ${reply.src} --reply-dst ${reply.dst}`
  const there = `--orig-port-src ${original.sport} --orig-port-dst ${original.dport}`
  const back = `--reply-port-src ${reply.sport} --reply-port-dst ${reply.dport}`
  const command = `conntrack -I -p udp -t 300 -u SEEN_REPLY -w ${zone} ${ends} ${there} ${back}`
  const { exitCode, stderr } = await runProcess({ argv: [...namespace.prefix, ...command.split(' ')] })
  if (exitCode !== 0) throw new Error(`${command}: ${stderr}`)
}
