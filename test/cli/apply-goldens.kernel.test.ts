import { readFileSync } from 'node:fs'
import type { Variant } from 'node-iptables'
import { afterAll, describe, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { differencesOf, GOLDENS, goldenFiles, SAVE_FILES } from '../support/goldens.js'
import { createKernelNode } from '../support/kernel-node.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

const LEFT = '  left filter KUBE-FIREWALL, as it is, with the jumps to it: kubelet uses it too\n'
const REMOVED = 'removed [\\d,]+ rules and [\\d,]+ chains'
const withoutFirewall = (text: string): string => text.replaceAll(/^.*KUBE-FIREWALL.*\n/gm, '')

describeWithKernel('a node is given the rules of kube-proxy by apply, and rid of them by cleanup', () => {
  describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
    test.concurrent.for(GOLDENS)('%s', async (scenario, { expect, onTestFinished }) => {
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

      const rendered = folder.path(`${scenario}-${variant}`)
      await node.pointsman('render', ...args, '--family', 'dual', '--output-dir', rendered)
      for (const file of SAVE_FILES) {
        const text = readFileSync(`${rendered}/${file}`, 'utf8')
        node.restore(file, text)
        expect(node.saved(file)).toBe(text)
      }
    })
  })
})
