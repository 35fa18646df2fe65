import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Variant } from 'node-iptables'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  createKernelNamespace,
  describeWithKernel,
  type KernelNamespace,
} from '../../packages/backend-iptables/src/test-support/kernel.js'
import { JSON_SHAPES } from '../../packages/cli/src/json-shapes/json-shapes.js'
import { shapeProblems } from '../../packages/cli/src/json-shapes/shape.js'
import { differencesOf, GOLDENS, goldenFiles, SAVE_FILES } from '../support/goldens.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

/** What a node may have besides: kubelet's hint chain, a CNI's, an administrator's. */
const OTHERS = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
-A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0x1
COMMIT
*filter
:CNI-FORWARD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "CNI portfwd" -j CNI-FORWARD
-A CNI-FORWARD -i cni0 -j ACCEPT
COMMIT
*nat
:CNI-HOSTPORT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT
-A POSTROUTING -o eth9 -j MASQUERADE
COMMIT
`

type SaveFile = (typeof SAVE_FILES)[number]
const PROGRAM: { readonly [file in SaveFile]: string } = {
  'iptables-save.txt': 'iptables',
  'ip6tables-save.txt': 'ip6tables',
}

const folder = temporaryFolder()

/** A folder with an iptables-restore that refuses the second line. */
function refusingRestore(variant: Variant): string {
  const programs = folder.path(`refusing-${variant}`)
  mkdirSync(programs, { recursive: true })
  const path = `${programs}/iptables-${variant}-restore`
  writeFileSync(path, '#!/bin/sh\ncat > /dev/null\necho "iptables-restore: line 2 failed" >&2\nexit 1\n')
  chmodSync(path, 0o755)
  return programs
}
afterAll(folder.remove)

describeWithKernel(
  'a node',
  () => {
    describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
      let namespace: KernelNamespace

      beforeEach(() => {
        namespace = createKernelNamespace()
        const ip = (words: string): void => void namespace.run('ip', ...words.split(' '))
        ip('link set lo up')
        // The node of the goldens.
        ip('link add eth0 type veth peer name eth1')
        ip('link set eth1 up')
        ip('addr add 192.168.55.10/24 dev eth0')
        ip('addr add fd00:55::10/64 dev eth0 nodad')
        ip('link set eth0 up')
        for (const file of SAVE_FILES) restore(file, OTHERS)
      })
      afterEach(() => namespace.remove())

      const pointsman = (...args: readonly string[]): Promise<Ended> => runPointsman(args, { prefix: namespace.prefix })

      function restore(file: SaveFile, text: string): void {
        const path = folder.path('restore.txt')
        writeFileSync(path, text)
        namespace.run(`${PROGRAM[file]}-${variant}-restore`, path)
      }

      /** The tables as a save has them, without its comments and what was counted. */
      const saved = (file: SaveFile): string =>
        ['mangle', 'filter', 'nat']
          .map((table) => namespace.run(`${PROGRAM[file]}-${variant}-save`, '-t', table))
          .join('')
          .replaceAll(/^#.*\n/gm, '')
          .replaceAll(/\[\d+:\d+\]/g, '[0:0]')

      const bothSaved = (): readonly string[] => SAVE_FILES.map(saved)
      const withoutFirewall = (text: string): string => text.replaceAll(/^.*KUBE-FIREWALL.*\n/gm, '')

      test.each(GOLDENS)('is given the rules of kube-proxy, and rid of them: %s', async (scenario) => {
        const golden = goldenFiles(scenario, folder)
        const before = bothSaved()
        const applied = await pointsman('apply', ...golden.args)
        expect(applied).toMatchObject({
          status: 0,
          stdout: expect.stringMatching(
            new RegExp(
              `^applied [\\d,]+ rules for \\d+ service ports? to IPv4 and IPv6 with iptables-${variant} .* bytes restored in .*\\n$`,
            ),
          ) as string,
          stderr: expect.stringContaining('(kubelet left its hint chain there)') as string,
        })
        const after = bothSaved()
        for (const [index, file] of SAVE_FILES.entries()) {
          expect(await differencesOf(golden.saved[file], after[index] ?? '')).toEqual([])
        }

        const again = await pointsman('apply', ...golden.args)
        expect(again.stdout).toMatch(/^nothing to do: all [\d,]+ rules for \d+ service ports? are there already, in /)
        expect(bothSaved()).toEqual(after)

        const cleaned = await pointsman('cleanup')
        expect(cleaned).toMatchObject({ status: 0, stderr: '' })
        expect(cleaned.stdout).toMatch(
          new RegExp(
            '^removed [\\d,]+ rules and [\\d,]+ chains: IPv4, .*\\n  left filter KUBE-FIREWALL, as it is, with the jumps to it: kubelet uses it too\\n' +
              'removed [\\d,]+ rules and [\\d,]+ chains: IPv6, .*\\n  left filter KUBE-FIREWALL, .*\\n$',
          ),
        )
        expect(bothSaved().map(withoutFirewall)).toEqual(before)

        const rendered = folder.path(`rendered-${variant}`)
        await pointsman('render', ...golden.args, '--family', 'dual', '--output-dir', rendered)
        for (const file of SAVE_FILES) {
          const text = readFileSync(`${rendered}/${file}`, 'utf8')
          restore(file, text)
          expect(saved(file)).toBe(text)
        }
      })

      describe('with rules of others that lead to chains of ours', () => {
        const { args } = goldenFiles('node-port', folder)
        let chain: string
        let rule: string

        beforeEach(async () => {
          await pointsman('apply', ...args)
          chain = /^:(KUBE-EXT-\S+)/m.exec(saved('iptables-save.txt'))?.[1] ?? ''
          rule = `-A CNI-HOSTPORT -s 192.0.2.1/32 -j ${chain}`
          namespace.run(`iptables-${variant}`, '-t', 'nat', ...rule.split(' '))
        })

        test('a cleanup empties these, leaves them, and names the rules', async () => {
          const dry = await pointsman('cleanup', '--dry-run')
          const untouched = saved('iptables-save.txt')
          expect(untouched).toContain(`-A ${chain} `)
          const { stdout } = await pointsman('cleanup')
          expect(stdout).toContain(
            `\n  left nat ${chain}, empty: it can be deleted once no rule of others leads to it\n    ${rule}\n`,
          )
          expect(dry.stdout).toContain(
            `#   would leave nat ${chain}, empty: it can be deleted once no rule of others leads to it\n#     ${rule}\n`,
          )
          const left = saved('iptables-save.txt')
          expect(left).toContain(`\n${rule}\n`)
          expect(left).not.toContain(`-A ${chain} `)
          expect(withoutFirewall(left).match(/^:KUBE-.*/gm)).toEqual([
            ':KUBE-IPTABLES-HINT - [0:0]',
            `:${chain} - [0:0]`,
          ])
        })

        test('what a dry run prints is what the cleanup does', async () => {
          const { stdout } = await pointsman('cleanup', '--dry-run', '-o', 'json')
          const planned = JSON.parse(stdout) as object
          expect(shapeProblems(planned, JSON_SHAPES['CleanupSummary'] ?? { type: 'any' })).toEqual([])
          const done = JSON.parse((await pointsman('cleanup', '-o', 'json')).stdout) as object
          expect(done).toEqual({ ...planned, dryRun: false })
        })

        test('an apply without the service says that its chain stays', async () => {
          const { status, stderr } = await pointsman('apply', ...goldenFiles('cluster-ip', folder).args)
          expect(status).toBe(0)
          expect(stderr).toContain(
            `warning: ${chain} in nat was not deleted where it is no longer needed, because of a rule that is not ours: ${rule}\n`,
          )
        })
      })

      test('apply --dry-run prints what would be restored, and changes nothing', async () => {
        const { args } = goldenFiles('cluster-ip', folder)
        const before = bothSaved()
        const { status, stdout, stderr } = await pointsman('apply', ...args, '--dry-run')
        expect(status).toBe(0)
        expect(stderr).toContain('would also run nfacct add ct_state_invalid_dropped_pkts\n')
        expect(bothSaved()).toEqual(before)
        expect(namespace.run('nfacct', 'list')).not.toContain('ct_state')
        const parts = stdout.split(/^# (IPv[46]): (\S+) --noflush --counters\n/m)
        expect([parts[1], parts[2], parts[4], parts[5]]).toEqual([
          'IPv4',
          `iptables-${variant}-restore`,
          'IPv6',
          `ip6tables-${variant}-restore`,
        ])

        const json = await pointsman('apply', ...args, '--dry-run', '-o', 'json')
        const document = JSON.parse(json.stdout) as { restores: readonly { lines: readonly string[] }[] }
        expect(shapeProblems(document, JSON_SHAPES['ApplySummary'] ?? { type: 'any' })).toEqual([])
        expect(document.restores.map(({ lines }) => lines.map((line) => `${line}\n`).join(''))).toEqual([
          parts[3],
          parts[6],
        ])
      })

      test('an apply deletes the UDP flows that nothing serves any more, and no others', async () => {
        const { args } = goldenFiles('dns-udp-tcp', folder)
        await pointsman('apply', ...args)
        const [, clusterIp = ''] = /-A KUBE-SERVICES -d (\S+)\/32 -p udp/.exec(saved('iptables-save.txt')) ?? []
        const [, endpoint = ''] = /-p udp .*--to-destination (\S+):/.exec(saved('iptables-save.txt')) ?? []
        // It writes what it has done to standard error.
        const conntrack = (words: string): string => namespace.run('sh', '-c', `conntrack ${words} 2> /dev/null`)
        const flow = (clientPort: string, target: string): void =>
          void conntrack(
            `-I -p udp -t 100 -s 10.244.1.9 -d ${clusterIp} --sport ${clientPort} --dport 53 ` +
              `-r ${target} -q 10.244.1.9 --reply-port-src 53 --reply-port-dst ${clientPort}`,
          )
        flow('40001', endpoint)
        flow('40002', '10.244.9.99')
        const { status, stdout } = await pointsman('apply', ...args)
        expect(status).toBe(0)
        expect(stdout).toMatch(/\ndeleted 1 UDP flow that nothing serves any more\n$/)
        const flows = conntrack('-L -p udp')
        expect(flows).toContain('sport=40001')
        expect(flows).not.toContain('sport=40002')
      })

      test('apply -o json is of the shape that is documented, and --family leaves the other family alone', async () => {
        const before = saved('ip6tables-save.txt')
        const { stdout } = await pointsman(
          'apply',
          ...goldenFiles('dual-stack', folder).args,
          '--family',
          'ipv4',
          '-o',
          'json',
        )
        const document = JSON.parse(stdout) as object
        expect(shapeProblems(document, JSON_SHAPES['ApplySummary'] ?? { type: 'any' })).toEqual([])
        expect(document).toMatchObject({ families: ['IPv4'], variant, dryRun: false, node: 'node-a', left: [] })
        expect(saved('ip6tables-save.txt')).toBe(before)
      })

      test('node ports answer on the addresses that the machine has, not on those of the Node object', async () => {
        const { args } = goldenFiles('node-port', folder)
        namespace.run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'eth0')
        const dispatch = async (...more: readonly string[]): Promise<readonly string[]> => {
          await pointsman('apply', ...args, '--nodeport-addresses', '192.168.0.0/16,10.77.0.0/16', ...more)
          return [...saved('iptables-save.txt').matchAll(/^-A KUBE-SERVICES -d (\S+) .*must be the last rule/gm)].map(
            (match) => match[1] ?? '',
          )
        }
        expect(await dispatch()).toEqual(['10.77.0.1/32', '192.168.55.10/32'])
        expect(await dispatch('--node-address', '192.168.1.1')).toEqual(['192.168.1.1/32'])
      })

      test('a restore that is refused ends with status 3 and names the line', async () => {
        const { args } = goldenFiles('session-affinity', folder)
        const { status, stdout, stderr } = await runPointsman(['apply', ...args, '--iptables-variant', variant], {
          prefix: [...namespace.prefix, 'env', `PATH=${refusingRestore(variant)}:${process.env['PATH'] ?? ''}`],
        })
        expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
        const [head, ...lines] = stderr.split('\n').filter((line) => !line.startsWith('node node-a'))
        expect(head).toMatch(
          /^error: iptables-\w+-restore .*: the restore was refused: .*line 2: :KUBE-PROXY-CANARY - \[0:0\]/,
        )
        expect(lines.slice(0, 3)).toEqual(['    1  *mangle', '  > 2  :KUBE-PROXY-CANARY - [0:0]', '    3  COMMIT'])
      })

      test('a replay writes what an apply of its last state does', async () => {
        const log = folder.path(`shop-${variant}.db`)
        await runPointsman(['import', SHOP_RECORDING, '--log', log])
        const settings = ['--cluster-cidr', '10.244.0.0/16', '--family', 'ipv4']
        const { status, stdout } = await pointsman('replay', log, '--backend', 'iptables', ...settings, '-o', 'json')
        expect(status).toBe(0)
        const summary = JSON.parse(stdout) as { last: { digest: string } }
        expect(shapeProblems(summary, JSON_SHAPES['ReplaySummary'] ?? { type: 'any' })).toEqual([])
        expect(summary).toMatchObject({ backend: 'iptables', syncs: 20, failures: 0 })
        const { stdout: rendered } = await pointsman('render', '--log', log, ...settings)
        expect(await differencesOf(rendered, saved('iptables-save.txt'))).toEqual([])
      })
    })
  },
  ['conntrack'],
)
