import { createIptablesBackend, prepareNode } from '@pointsman/backend-iptables'
import { DEFAULT_PROXY_CONFIG, seq, type Backend, type ProxyConfig, type State } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import { createIptables, runProcess } from 'node-iptables'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { CLUSTER_CIDRS } from './names.js'
import { createNetwork, type Network } from './network.js'
import { reversedRestores, type ReversedRestores } from './reversed-restores.js'
import { dialedOf, thousandsOf } from './thousands.js'
import { countsOf, type Dialed, failuresIn, whileDialing } from './while-dialing.js'

const SERVICES = 5000
const ROUNDS = 6
const BEFORE = thousandsOf(SERVICES, { isChanged: false })
const AFTER = thousandsOf(SERVICES, { isChanged: true })
const DIALED = dialedOf(SERVICES)

describeWithKernel('while thousands of services are written, a hundred of them are dialed', () => {
  let network: Network
  let restores: ReversedRestores
  let backend: Backend
  let current: State | undefined
  let programming: Dialed

  async function sync(state: State): Promise<void> {
    const changed = current === undefined ? 'all' : changedBetween(current, state)
    await backend.sync({ state, changed, fromSeq: seq(1), toSeq: seq(1) }, new AbortController().signal)
    await restores.release()
    current = state
  }

  /** One hundredth of the services becomes another, and what it was, again and again. */
  async function changeAll(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      await sync(AFTER)
      await sync(BEFORE)
    }
  }

  beforeAll(async () => {
    network = await createNetwork()
    const config: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: CLUSTER_CIDRS } }
    const prefix = network.onNode
    restores = reversedRestores(await createIptables({ family: 'IPv4', variant: 'nft', prefix }))
    const prepared = await prepareNode({ run: runProcess, prefix, config, families: ['IPv4'], node: BEFORE.node })
    backend = createIptablesBackend({ config, iptables: [restores.iptables], ...prepared })
    programming = await whileDialing(network, DIALED, () => sync(BEFORE))
  })
  afterAll(() => network.close())

  test('from nothing: a service is not there, and then it is, for good', () => {
    tell('from nothing', programming)
    const early = DIALED.flatMap(({ what }, at) => {
      const { internet, ...others } = programming.tallies[at] ?? {}
      return Object.values(others).some(({ first }) => first < (internet?.last ?? 0)) ? [what] : []
    })
    expect(early).toEqual([])
    expect(failuresIn(programming, DIALED).filter((failure) => !failure.includes(' x internet: '))).toEqual([])
    expect(programming.sentAgain).toBe(0)
  })

  test('1 % of them changed again and again: no connection fails that should not have', async () => {
    expect(changedBetween(BEFORE, AFTER).size).toBe(SERVICES / 100)
    const dialed = await whileDialing(network, DIALED, changeAll)
    const counts = tell('1 % changed', dialed)
    expect(failuresIn(dialed, DIALED)).toEqual([])
    expect(dialed.sentAgain).toBe(0)
    // All that can become of a dial has, so that each change was in force.
    const unseen = DIALED.flatMap(({ what, allowed }) =>
      allowed.filter((outcome) => counts[what]?.[outcome] === undefined).map((outcome) => `${what}: ${outcome}`),
    )
    expect(unseen).toEqual([])
  })

  test('the same with the order of restores reversed: connections fail', async () => {
    restores.reverse(true)
    const dialed = await whileDialing(network, DIALED, changeAll)
    tell('1 % changed, reversed', dialed)
    expect(failuresIn(dialed, DIALED)).not.toEqual([])
  })
})

/** How many dials of which services had which outcome, for the record. */
function tell(title: string, dialed: Dialed): ReturnType<typeof countsOf> {
  const counts = countsOf(dialed, DIALED)
  const lines = Object.entries(counts).map(([what, outcomes]) => `  ${what}: ${JSON.stringify(outcomes)}\n`)
  process.stdout.write(`${title}, dials of services, by what became of them:\n${lines.join('')}`)
  return counts
}
