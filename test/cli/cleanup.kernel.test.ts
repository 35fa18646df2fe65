import type { Variant } from 'node-iptables'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { goldenFiles } from '../support/goldens.js'
import { createKernelNode, type KernelNode } from '../support/kernel-node.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

describeWithKernel('cleanup', () => {
  describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
    const other = variant === 'nft' ? 'legacy' : 'nft'
    let node: KernelNode
    beforeEach(() => void (node = createKernelNode(variant)))
    afterEach(() => node.remove())

    describe('where rules of others lead to chains of ours', () => {
      const { args } = goldenFiles('node-port', folder)
      let chain: string
      let rule: string

      beforeEach(async () => {
        await node.pointsman('apply', ...args)
        chain = /^:(KUBE-EXT-\S+)/m.exec(node.saved('iptables-save.txt'))?.[1] ?? ''
        rule = `-A CNI-HOSTPORT -s 192.0.2.1/32 -j ${chain}`
        node.run(`iptables-${variant} -t nat ${rule}`)
      })

      test('a cleanup empties these, leaves them, and names the rules', async () => {
        const dry = await node.pointsman('cleanup', '--dry-run')
        const untouched = node.saved('iptables-save.txt')
        expect(untouched).toContain(`-A ${chain} `)
        const { stdout } = await node.pointsman('cleanup')
        expect(stdout).toContain(
          `\n  left nat ${chain}, empty: it can be deleted once no rule of others leads to it\n    ${rule}\n`,
        )
        expect(dry.stdout).toContain(
          `#   would leave nat ${chain}, empty: it can be deleted once no rule of others leads to it\n#     ${rule}\n`,
        )
        const left = node.saved('iptables-save.txt')
        expect(left).toContain(`\n${rule}\n`)
        expect(left).not.toContain(`-A ${chain} `)
        expect(left.replaceAll(/^.*KUBE-FIREWALL.*\n/gm, '').match(/^:KUBE-.*/gm)).toEqual([
          ':KUBE-IPTABLES-HINT - [0:0]',
          `:${chain} - [0:0]`,
        ])
      })

      test('what a dry run prints is what the cleanup does', async () => {
        const { stdout } = await node.pointsman('cleanup', '--dry-run', '-o', 'json')
        const planned = JSON.parse(stdout) as object
        expect(schemaProblems(planned, JSON_SCHEMAS.CleanupSummary)).toEqual([])
        const done = JSON.parse((await node.pointsman('cleanup', '-o', 'json')).stdout) as object
        expect(done).toEqual({ ...planned, dryRun: false })
      })
    })

    test.each([
      ['cleanup', []],
      ['apply', goldenFiles('node-port', folder).args.filter((arg) => arg !== '--objects')],
    ])('%s removes what ipvs mode left: chains, the jumps to them, ipsets and its interface', async (command, args) => {
      // This kernel may have no ip_vs: an interface of another type takes the place of the dummy.
      for (const each of [
        'ip link add kube-ipvs0 type bridge',
        'ipset create KUBE-CLUSTER-IP hash:ip,port',
        'ipset create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6',
        'ipset create cali40all hash:ip',
        `iptables-${variant} -N KUBE-IPVS-FILTER`,
        `iptables-${variant} -A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN`,
      ])
        node.run(each)
      const ended = await node.pointsman(command, ...args)
      expect(ended.status).toBe(0)
      expect(`${ended.stdout}${ended.stderr}`).toMatch(/removed the interface kube-ipvs0[^]*ipset KUBE-CLUSTER-IP/)
      expect(node.saved('iptables-save.txt')).not.toContain('KUBE-IPVS-FILTER')
      expect(node.run('ipset list -n').trim()).toBe('cali40all')
      const again = JSON.parse((await node.pointsman('cleanup', '-o', 'json')).stdout) as object
      expect(again).toMatchObject({ otherModes: { removed: [], left: [] } })
    })

    test('finds the rules of a variant that the node no longer uses, too', async () => {
      const { args } = goldenFiles('cluster-ip', folder)
      await node.pointsman('apply', ...args, '--iptables-variant', other)
      const warned = await node.pointsman('apply', ...args)
      expect(warned.stderr).toMatch(
        /^warning: chains KUBE-\* exist in (?:nft|legacy) \(\d+\), and \w+ is used: packets meet both; /m,
      )
      const named = await node.pointsman('cleanup', '--iptables-variant', variant)
      expect(named.stdout.match(/^removed .*/gm)).toHaveLength(2)
      const { stdout } = await node.pointsman('cleanup')
      expect(stdout.match(/^removed .*/gm)).toEqual([
        expect.stringMatching(`: IPv4, iptables-${other} `),
        expect.stringMatching(`: IPv6, iptables-${other} `),
      ])
    })

    test('says where it looked when there is nothing', async () => {
      const { status, stdout } = await node.pointsman('cleanup', '--iptables-variant', other)
      expect(status).toBe(0)
      expect(stdout).toMatch(
        new RegExp(
          `^nothing to remove: IPv4, iptables-${other} [\\d.]+; IPv6, iptables-${other} [\\d.]+; IPv4, nft [\\d.]+; IPv6, nft [\\d.]+\\n$`,
        ),
      )
    })
  })
})
