import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProcess } from 'node-iptables'
import { deleteFlows, listFlows, type TrackedFlow } from 'node-netfilter'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { groupOf } from '@pointsman/core'
import { conntrackCommands, conntrackNetlink } from '@pointsman/core/io'
import {
  createKernelNamespace,
  describeWithKernel,
  enterKernelNamespace,
  type EnteredNamespace,
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
        const flow = flowOf('10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53')
        const group = { ...groupOf(flow), flows: [flow] }
        await expect(commands.deleteFlows(group)).rejects.toMatchObject({ code })
      })
    })
  },
  ['conntrack', 'setpriv'],
)

describeWithKernel(
  'conntrack over netlink in a namespace of its own',
  () => {
    const otherwise = conntrackCommands({ run: runProcess, executable: 'no-command-is-run' })

    describe('does what the command does', () => {
      describeFlowTable(() => {
        const namespace = enterKernelNamespace()
        return {
          table: conntrackNetlink({ netlink: { listFlows, deleteFlows }, otherwise }),
          add: async (...flows) => {
            for (const flow of flows) await addFlow(namespace, flow)
          },
          end: () => namespace.remove(),
        }
      })
    })

    describe('with thousands of flows', () => {
      let namespace: EnteredNamespace
      beforeEach(async () => {
        namespace = enterKernelNamespace()
        await addFlows(5000)
      })
      afterEach(() => namespace.remove())

      const listed = async (original: Partial<TrackedFlow['original']> = {}): Promise<readonly TrackedFlow[]> => {
        const flows: TrackedFlow[] = []
        await listFlows({ family: 'ipv4', protocol: 17, original }, (flow) => flows.push(flow))
        return flows
      }

      test('the kernel filters, and deletes in batches, in turn with other work', async () => {
        expect(await listed()).toHaveLength(5000)
        const some = await listed({ dst: '10.96.0.7', dport: 53 })
        expect(some).toHaveLength(50)
        expect(some[0]).toMatchObject({ zone: 0, original: { dst: '10.96.0.7', dport: 53 }, reply: { sport: 5353 } })

        let turns = 0
        const counting = setInterval(() => turns++, 0)
        const flows = await listed()
        expect(await deleteFlows(flows.slice(0, 3000))).toBe(3000)
        clearInterval(counting)
        expect(turns).toBeGreaterThan(5)
        expect(await listed()).toHaveLength(2000)
        expect(await deleteFlows(flows)).toBe(2000)
      })

      test('a call ends with its time, or when it is aborted', async () => {
        await expect(
          listFlows({ family: 'ipv4', protocol: 17 }, () => undefined, { timeoutMs: 0 }),
        ).rejects.toMatchObject({ code: 'TIMED_OUT' })
        const abort = new AbortController()
        const listing = listFlows({ family: 'ipv4', protocol: 17 }, () => abort.abort(), { signal: abort.signal })
        await expect(listing).rejects.toMatchObject({ code: 'ABORTED' })
        expect(await listed()).toHaveLength(5000)
      })
    })
  },
  ['conntrack'],
)

/** UDP flows to 100 destinations, in one process. */
async function addFlows(count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, at) => {
    const client = `10.0.${Math.floor(at / 200)}.${at % 200}`
    const ends = `--orig-src ${client} --orig-dst 10.96.0.${at % 100} --reply-src 10.244.1.5 --reply-dst ${client}`
    const ports = `--orig-port-src ${at + 1} --orig-port-dst 53 --reply-port-src 5353 --reply-port-dst ${at + 1}`
    return `-I -p udp -t 300 -u SEEN_REPLY ${ends} ${ports}\n`
  })
  const folder = await mkdtemp(join(tmpdir(), 'flows-'))
  await writeFile(join(folder, 'flows'), lines.join(''))
  const { exitCode, stderr } = await runProcess({ argv: ['conntrack', '-R', join(folder, 'flows')] })
  await rm(folder, { recursive: true })
  if (exitCode !== 0) throw new Error(stderr)
}

async function addFlow(namespace: Pick<KernelNamespace, 'prefix'>, text: string): Promise<void> {
  const { original, reply, zone } = flowOf(text)
  const ends = `--orig-src ${original.src} --orig-dst ${original.dst} --reply-src ${reply.src} --reply-dst ${reply.dst}`
  const there = `--orig-port-src ${original.sport} --orig-port-dst ${original.dport}`
  const back = `--reply-port-src ${reply.sport} --reply-port-dst ${reply.dport}`
  const command = `conntrack -I -p udp -t 300 -u SEEN_REPLY -w ${zone} ${ends} ${there} ${back}`
  const { exitCode, stderr } = await runProcess({ argv: [...namespace.prefix, ...command.split(' ')] })
  if (exitCode !== 0) throw new Error(`${command}: ${stderr}`)
}
