import { afterEach, beforeEach, expect, it } from 'vitest'
import { planNftables } from '../plan/rule-plan.js'
import { GOLDEN_CASES, readGolden } from '../test-support/goldens.js'
import { describeWithNft, differencesOf, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'

describeWithNft('the table of a real kube-proxy, through the kernel', () => {
  let namespace: EnteredNamespace
  beforeEach(() => {
    namespace = enterKernelNamespace()
  })
  afterEach(() => namespace.remove())

  it.each(GOLDEN_CASES)('is what `nft -f` makes of the rendered text: %s, %s', (scenario, family) => {
    const { state, config, listing } = readGolden(scenario)
    const plan = planNftables({ state, config }, { family })
    const text = [...plan.listing(plan.parts()), ''].join('\n')
    const table = family === 'IPv4' ? 'ip' : 'ip6'
    const listed = (): string => namespace.run(['nft', '-s', '-j', 'list', 'table', table, 'kube-proxy'])
    namespace.run(['nft', '-f', '-'], text)
    expect(differencesOf(listing[family], listed())).toEqual([])
    namespace.run(['nft', '-f', '-'], text)
    expect(differencesOf(listing[family], listed())).toEqual([])
  })
})
