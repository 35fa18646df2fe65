import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { NFACCT_COUNTERS } from './ruleset/base-rules.js'
import { readGolden } from './test-support/goldens.js'
import { rulesIn } from './test-support/rules-in.js'
import { describeWithKernel, enterKernelNamespace, type EnteredNamespace } from './test-support/kernel.js'

const TABLES = ['mangle', 'filter', 'nat']
/** With all matches and targets that kube-proxy uses. */
const SCENARIOS = ['session-affinity', 'load-balancer-source-ranges', 'dual-stack', 'bridge-interface-local-mode']

describeWithKernel('what iptables itself prints of the rules of kube-proxy', () => {
  describe.each([
    ['nft', 'iptables', 'IPv4'],
    ['legacy', 'ip6tables', 'IPv6'],
  ] as const)('%s, %s', (variant, program, family) => {
    let namespace: EnteredNamespace
    beforeEach(() => {
      namespace = enterKernelNamespace()
      for (const object of NFACCT_COUNTERS) namespace.run('nfacct', 'add', object)
    })
    afterEach(() => namespace.remove())

    const printed = (...options: readonly string[]): string =>
      TABLES.map(
        (table) =>
          `[root@node-a ~]# ${program} -t ${table} ${options.join(' ')}\n${namespace.run(`${program}-${variant}`, '-w', '-t', table, ...options)}`,
      ).join('')

    test.each(SCENARIOS)('%s is read as a save is', async (scenario) => {
      const save = readGolden(scenario).saved[family]
      namespace.run('sh', '-c', `${program}-${variant}-restore <<'END'\n${save}\nEND`)
      const kept = await rulesIn(namespace.run(`${program}-${variant}-save`))
      expect(await rulesIn(printed('-S'))).toEqual(kept)
      expect(await rulesIn(printed('-S', '-v'))).toEqual(kept)
      expect(await rulesIn(printed('-nvL'))).toEqual(kept)
      expect(await rulesIn(printed('-nvL', '--line-numbers').replaceAll(/^\[root.*\n/gm, ''))).toEqual(kept)
    })
  })
})
