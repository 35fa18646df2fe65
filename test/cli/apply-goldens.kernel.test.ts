import type { Variant } from 'node-iptables'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { differencesOf, goldenFiles, SAVE_FILES } from '../support/goldens.js'
import { createKernelNode } from '../support/kernel-node.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

/**
 * Those that differ in what the command itself finds out: families, the node's addresses, whether localhost is routed, objects
 * that are left out, and many. That the rules of all of them are kube-proxy's is tried where they are planned, rendered and synced.
 */
const SCENARIOS = ['dual-stack', 'node-port-addresses', 'no-localhost-node-ports', 'skipped-services', 'large-cluster']

const LEFT = '  left filter KUBE-FIREWALL, as it is, with the jumps to it: kubelet uses it too\n'
const REMOVED = 'removed [\\d,]+ rules and [\\d,]+ chains'
const withoutFirewall = (text: string): string => text.replaceAll(/^.*KUBE-FIREWALL.*\n/gm, '')

describeWithKernel('a node is given the rules of kube-proxy by apply, and rid of them by cleanup', () => {
  describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
    test.each(SCENARIOS)('%s', async (scenario) => {
      const { args, saved } = goldenFiles(scenario, folder)
      const node = createKernelNode(variant)
      onTestFinished(node.remove)
      const bothSaved = (): readonly string[] => SAVE_FILES.map(node.saved)
      const before = bothSaved()

      const applied = await node.pointsman('apply', ...args)
      expect(applied).toMatchObject({ status: 0 })
      expect(applied.stderr).toMatch(
        new RegExp(`^node node-a, IPv4 and IPv6, iptables-${variant} [\\d.]+ \\(it has kubelet's hint chain\\)\\n$`),
      )
      expect(applied.stdout).toMatch(
        new RegExp(
          `^applied [\\d,]+ rules for \\d+ service ports? to IPv4 and IPv6 with iptables-${variant} .*: [\\d,]+ bytes restored in .*\\n$`,
        ),
      )
      const after = bothSaved()
      for (const [index, file] of SAVE_FILES.entries()) {
        expect(await differencesOf(saved[file], after[index] ?? '')).toEqual([])
      }

      const again = await node.pointsman('apply', ...args)
      expect(again.stdout).toMatch(/^nothing to do: all [\d,]+ rules for \d+ service ports? are there already, in /)
      expect(bothSaved()).toEqual(after)

      const cleaned = await node.pointsman('cleanup')
      expect(cleaned).toMatchObject({ status: 0, stderr: '' })
      expect(cleaned.stdout).toMatch(new RegExp(`^${REMOVED}: IPv4, .*\\n${LEFT}${REMOVED}: IPv6, .*\\n${LEFT}$`))
      expect(bothSaved().map(withoutFirewall)).toEqual(before)
    })
  })
})
