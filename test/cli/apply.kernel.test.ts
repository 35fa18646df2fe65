import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import type { Variant } from 'node-iptables'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { differencesOf, goldenFiles, SAVE_FILES } from '../support/goldens.js'
import { createKernelNode, type KernelNode } from '../support/kernel-node.js'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

/** A folder with an iptables-restore that refuses the second line. */
function refusingRestore(variant: Variant): string {
  const programs = folder.path(`refusing-${variant}`)
  mkdirSync(programs, { recursive: true })
  const path = `${programs}/iptables-${variant}-restore`
  writeFileSync(path, '#!/bin/sh\ncat > /dev/null\necho "iptables-restore: line 2 failed" >&2\nexit 1\n')
  chmodSync(path, 0o755)
  return programs
}
describeWithKernel(
  'apply and replay',
  () => {
    describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
      let node: KernelNode
      beforeEach(() => void (node = createKernelNode(variant)))
      afterEach(() => node.remove())

      test('an apply without a service keeps the chain that a rule of others leads to, and says so', async () => {
        await node.pointsman('apply', ...goldenFiles('node-port', folder).args)
        const [, chain = ''] = /^:(KUBE-EXT-\S+)/m.exec(node.saved('iptables-save.txt')) ?? []
        const rule = `-A CNI-HOSTPORT -s 192.0.2.1/32 -j ${chain}`
        node.run(`iptables-${variant} -t nat ${rule}`)
        // As the portmap plugin of CNI has one: a chain that is always there is no news.
        node.run(`iptables-${variant} -t nat -A CNI-HOSTPORT -j KUBE-MARK-MASQ`)
        const { status, stderr } = await node.pointsman('apply', ...goldenFiles('cluster-ip', folder).args)
        expect(status).toBe(0)
        expect(stderr).toContain(
          `warning: ${chain} in nat stays whatever becomes of its service, because of a rule that is not ours: ${rule}\n`,
        )
        expect(stderr).not.toContain('KUBE-MARK-MASQ')
        expect(node.saved('iptables-save.txt')).toContain(`:${chain} - `)
      })

      test('apply --dry-run prints what would be restored, and changes nothing', async () => {
        const { args } = goldenFiles('cluster-ip', folder)
        const before = SAVE_FILES.map(node.saved)
        const { status, stdout, stderr } = await node.pointsman('apply', ...args, '--dry-run')
        expect(status).toBe(0)
        expect(stderr).toContain('would also run nfacct add ct_state_invalid_dropped_pkts\n')
        expect(SAVE_FILES.map(node.saved)).toEqual(before)
        expect(node.run('nfacct list')).not.toContain('ct_state')
        const parts = stdout.split(/^# (IPv[46]): (\S+) --noflush --counters\n/m)
        expect([parts[1], parts[2], parts[4], parts[5]]).toEqual([
          'IPv4',
          `iptables-${variant}-restore`,
          'IPv6',
          `ip6tables-${variant}-restore`,
        ])

        const json = await node.pointsman('apply', ...args, '--dry-run', '-o', 'json')
        const document = JSON.parse(json.stdout) as { restores: readonly { lines: readonly string[] }[] }
        expect(schemaProblems(document, JSON_SCHEMAS.ApplySummary)).toEqual([])
        expect(document.restores.map(({ lines }) => lines.map((line) => `${line}\n`).join(''))).toEqual([
          parts[3],
          parts[6],
        ])
      })

      test('an apply deletes the UDP flows that nothing serves any more, and no others', async () => {
        const { args } = goldenFiles('dns-udp-tcp', folder)
        await node.pointsman('apply', ...args)
        const [, clusterIp = ''] = /-A KUBE-SERVICES -d (\S+)\/32 -p udp/.exec(node.saved('iptables-save.txt')) ?? []
        const [, endpoint = ''] = /-p udp .*--to-destination (\S+):/.exec(node.saved('iptables-save.txt')) ?? []
        // It writes what it has done to standard error.
        const conntrack = (words: string): string =>
          execFileSync('sh', ['-c', `conntrack ${words} 2> /dev/null`], { encoding: 'utf8' })
        const flow = (clientPort: string, target: string): void =>
          void conntrack(
            `-I -p udp -t 100 -s 10.244.1.9 -d ${clusterIp} --sport ${clientPort} --dport 53 ` +
              `-r ${target} -q 10.244.1.9 --reply-port-src 53 --reply-port-dst ${clientPort}`,
          )
        flow('40001', endpoint)
        flow('40002', '10.244.9.99')
        const { status, stdout } = await node.pointsman('apply', ...args)
        expect(status).toBe(0)
        expect(stdout).toMatch(/\ndeleted 1 UDP flow that nothing serves any more\n$/)
        const flows = conntrack('-L -p udp')
        expect(flows).toContain('sport=40001')
        expect(flows).not.toContain('sport=40002')
      })

      test('apply -o json is of the shape that is documented, and --family leaves the other family alone', async () => {
        const before = node.saved('ip6tables-save.txt')
        const { stdout } = await node.pointsman(
          'apply',
          ...goldenFiles('dual-stack', folder).args,
          '--family',
          'ipv4',
          '-o',
          'json',
        )
        const document = JSON.parse(stdout) as object
        expect(schemaProblems(document, JSON_SCHEMAS.ApplySummary)).toEqual([])
        expect(document).toMatchObject({ families: ['IPv4'], variant, dryRun: false, node: 'node-a', left: [] })
        expect(node.saved('ip6tables-save.txt')).toBe(before)
      })

      test('node ports answer on the addresses that the machine has, not on those of the Node object', async () => {
        const { args } = goldenFiles('node-port', folder)
        // It is down, and its address is one of the node's to kube-proxy nevertheless.
        node.run('ip link add br0 type bridge')
        node.run('ip addr add 10.77.0.1/24 dev br0')
        const dispatch = async (...more: readonly string[]): Promise<readonly string[]> => {
          await node.pointsman('apply', ...args, '--nodeport-addresses', '192.168.0.0/16,10.77.0.0/16', ...more)
          return [
            ...node.saved('iptables-save.txt').matchAll(/^-A KUBE-SERVICES -d (\S+) .*must be the last rule/gm),
          ].map((match) => match[1] ?? '')
        }
        expect(await dispatch()).toEqual(['10.77.0.1/32', '192.168.55.10/32'])
        expect(await dispatch('--node-address', '192.168.1.1')).toEqual(['192.168.1.1/32'])
      })

      test('a restore that is refused ends with status 3 and names the line', async () => {
        const { args } = goldenFiles('session-affinity', folder)
        const { status, stdout, stderr } = await node.pointsmanWith(
          `${refusingRestore(variant)}:${process.env['PATH'] ?? ''}`,
          'apply',
          ...args,
          '--iptables-variant',
          variant,
        )
        expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
        const [head, ...lines] = stderr.split('\n').filter((line) => !line.startsWith('node node-a'))
        expect(head).toMatch(
          /^error: iptables-\w+-restore .*: the restore was rejected: .*line 2: :KUBE-PROXY-CANARY - \[0:0\]/,
        )
        expect(lines.slice(0, 3)).toEqual(['    1  *mangle', '  > 2  :KUBE-PROXY-CANARY - [0:0]', '    3  COMMIT'])
      })

      test('a replay writes what an apply of its last state does', async () => {
        const log = folder.path(`shop-${variant}.db`)
        await runPointsman(['import', SHOP_RECORDING, '--log', log])
        const settings = ['--cluster-cidr', '10.244.0.0/16', '--family', 'ipv4']
        const { status, stdout } = await node.pointsman(
          'replay',
          log,
          '--backend',
          'iptables',
          ...settings,
          '-o',
          'json',
        )
        expect(status).toBe(0)
        const summary = JSON.parse(stdout) as { last: { digest: string } }
        expect(schemaProblems(summary, JSON_SCHEMAS.ReplaySummary)).toEqual([])
        expect(summary).toMatchObject({ backend: 'iptables', syncs: 20, failures: 0 })
        const { stdout: rendered } = await node.pointsman('render', '--log', log, ...settings)
        expect(await differencesOf(rendered, node.saved('iptables-save.txt'))).toEqual([])
      })
    })

    test('what the kernel has against a rule is said', async () => {
      const node = createKernelNode('nft')
      onTestFinished(node.remove)
      node.run('nft flush chain ip nat PREROUTING')
      node.run('nft delete chain ip nat PREROUTING')
      node.run('nft add chain ip nat PREROUTING { type filter hook prerouting priority -300 ; }')
      const { status, stderr } = await node.pointsman('apply', ...goldenFiles('cluster-ip', folder).args)
      expect(status).toBe(3)
      expect(stderr).toMatch(/\n {2}> \d+ {2}-I PREROUTING .* -j KUBE-SERVICES\n/)
      expect(stderr).toMatch(/\n {2}line \d+: CHAIN_ADD failed \(Operation not supported\): chain PREROUTING\n/)
    })
  },
  ['conntrack'],
)
