import { hash } from 'node:crypto'
import { DEFAULT_PROXY_CONFIG, type Seq, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import type { TableWitness } from 'node-iptables'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { describe, expect, it } from 'vitest'
import { createIptablesBackend, type IptablesBackend } from './iptables-backend.js'

const ADDRESS = '203.0.113.9'

const withAddresses = (addresses: {
  readonly externalIPs: readonly string[]
  readonly loadBalancerVIPs: readonly string[]
}): State =>
  stateOf({ ports: [{ is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: [], ...addresses }], node: {} })

describe('a small sync', () => {
  it('takes out one of two equal rules when a service has an address once that it had twice', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    const rules = async (state: State, at: Seq): Promise<number> => {
      const changed = at === 1 ? 'all' : state.services
      const names = changed === 'all' ? 'all' : new Set(changed.keys())
      await backend.sync({ state, changed: names, fromSeq: at, toSeq: at }, new AbortController().signal)
      return fake.text().split(ADDRESS).length - 1
    }
    expect(await rules(withAddresses({ externalIPs: [ADDRESS], loadBalancerVIPs: [ADDRESS] }), seq(1))).toBe(2)
    expect(await rules(withAddresses({ externalIPs: [], loadBalancerVIPs: [ADDRESS] }), seq(2))).toBe(1)
    expect(await rules(withAddresses({ externalIPs: [ADDRESS], loadBalancerVIPs: [ADDRESS] }), seq(3))).toBe(2)
    expect(await rules(withAddresses({ externalIPs: [], loadBalancerVIPs: [] }), seq(4))).toBe(0)
  })

  it('of one family is done whatever is wrong with the other', async () => {
    const state = stateOf({
      ports: [
        { is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: ['10.244.1.1:80@node-a'] },
        { is: 'shop/six:http', clusterIP: 'fd00:10:96::1', family: 'IPv6', endpoints: ['[fd00:10:244::1]:80@node-a'] },
      ],
      node: {},
    })
    const four = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const six = createFakeIptables({ family: 'IPv6', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [four, six] })
    four.failNext({ failure: 'LOCK_HELD', program: 'restore', applied: 0 })
    const request = { state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
    await expect(backend.sync(request, new AbortController().signal)).rejects.toMatchObject({ code: 'LOCK_HELD' })
    expect(six.text()).toContain('fd00:10:96::1')
  })

  it('exchanges an endpoint for one whose rules are as long', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    const served = async (endpoint: string, at: Seq): Promise<readonly string[]> => {
      const state = stateOf({
        ports: [{ is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: [endpoint] }],
        node: {},
      })
      const changed = at === 1 ? 'all' : new Set(state.services.keys())
      await backend.sync({ state, changed, fromSeq: at, toSeq: at }, new AbortController().signal)
      return [...fake.text().matchAll(/--to-destination (\S+)/g)].map(([, address]) => address ?? '')
    }
    expect(await served('10.244.1.1:80', seq(1))).toEqual(['10.244.1.1:80'])
    expect(await served('10.244.1.2:80', seq(2))).toEqual(['10.244.1.2:80'])
  })
})

/** The text of the tables is their mark: it is another one as soon as anything in them is. */
const witnessOf = (fakes: readonly FakeIptables[]): TableWitness => {
  const mark = (): string => hash('sha256', fakes.map((fake) => fake.text()).join('\0'))
  return {
    comparing: () => Promise.resolve(() => undefined),
    mark: () => Promise.resolve(mark()),
    has: (one) => Promise.resolve(one === mark()),
    presentMark: () => Promise.resolve(mark()),
  }
}

describe.each([
  ['another build of the program', undefined],
  ['the same build of the program', 'a build'],
])('a first sync after a restart, by %s', (_, build) => {
  const portsOf = (endpoint: string) =>
    [
      {
        is: 'shop/web:http',
        clusterIP: '10.96.0.1',
        endpoints: [endpoint],
        externalIPs: [ADDRESS],
        affinitySeconds: 60,
      },
      { is: 'shop/none:http', clusterIP: '10.96.0.2', endpoints: [], nodePort: 30_002, externalIPs: [ADDRESS] },
      { is: 'shop/six:http', clusterIP: 'fd00:10:96::1', family: 'IPv6', endpoints: ['[fd00:10:244::1]:80@node-a'] },
    ] as const
  const state = stateOf({ ports: [...portsOf('10.244.1.1:80@node-a')], node: {} })
  const changed = stateOf({ ports: [...portsOf('10.244.1.2:80@node-a')], node: {} })
  const signal = new AbortController().signal
  const whole = (to: State, objects = to === changed ? 'changed' : 'objects') =>
    ({ state: to, changed: 'all', fromSeq: seq(1), toSeq: seq(1), objects }) as const

  /** Tables with the rules of the state, and a backend of a later process. */
  async function restarted(change: (four: FakeIptables) => void = () => undefined): Promise<{
    readonly fakes: readonly [FakeIptables, FakeIptables]
    readonly backend: IptablesBackend
  }> {
    const four = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const fakes = [four, createFakeIptables({ family: 'IPv6', variant: 'nft' })] as const
    const options = { config: DEFAULT_PROXY_CONFIG, iptables: fakes, witness: witnessOf(fakes), build }
    const { digest, mark = '' } = await createIptablesBackend(options).sync(whole(state), signal)
    change(four)
    for (const fake of fakes) fake.forgetCalls()
    return { fakes, backend: createIptablesBackend({ ...options, lastSync: { digest, mark } }) }
  }
  const programsOf = (fakes: readonly FakeIptables[]): readonly string[] =>
    fakes.flatMap(({ calls }) => calls.map(({ program }) => program))

  it('reads nothing where nobody has changed the tables and the rules are to be the same', async () => {
    const { fakes, backend } = await restarted()
    expect(await backend.sync(whole(state), signal)).toMatchObject({ full: true, bytes: 0, refused: [] })
    expect(programsOf(fakes)).toEqual([])
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it('goes on from there as if it had read them', async () => {
    const { fakes, backend } = await restarted()
    await backend.sync(whole(state), signal)
    const small = { state: changed, changed: new Set(changed.services.keys()), fromSeq: seq(2), toSeq: seq(2) }
    const { digest } = await backend.sync(small, signal)
    const other = await restarted()
    expect(await other.backend.sync(whole(changed), signal)).toMatchObject({ digest })
    expect(fakes.map((fake) => fake.text())).toEqual(other.fakes.map((fake) => fake.text()))
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it('finds what another program changes after it', async () => {
    const { fakes, backend } = await restarted()
    const right = fakes.map((fake) => fake.text())
    await backend.sync(whole(state), signal)
    fakes[0].change('*nat\n-F KUBE-SERVICES\nCOMMIT\n')
    expect(await backend.repairDrift(signal)).toMatchObject([{ family: 'IPv4' }])
    const sorted = (texts: readonly string[]): unknown => texts.map((text) => text.split('\n').toSorted())
    expect(sorted(fakes.map((fake) => fake.text()))).toEqual(sorted(right))
  })

  it('takes service ports out, and the others into another context, that it has not read', async () => {
    const { fakes, backend } = await restarted()
    await backend.sync(whole(state), signal)
    const fewer = stateOf({
      ports: portsOf('10.244.1.1:80@node-a').slice(0, 1),
      node: { addresses: ['192.168.55.77'] },
    })
    await backend.sync({ ...whole(fewer), changed: new Set(state.services.keys()) }, signal)
    const other = await restarted()
    await other.backend.sync(whole(fewer, 'fewer'), signal)
    expect(fakes.map((fake) => fake.text())).toEqual(other.fakes.map((fake) => fake.text()))
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it('goes by the digest of the objects where the build is the same, and else by the rules', async () => {
    const { fakes, backend } = await restarted()
    // Not the objects that the digest stands for.
    await backend.sync(whole(changed, 'objects'), signal)
    expect(programsOf(fakes).length > 0).toBe(build === undefined)
  })

  it('reads the tables, once, where another program has changed them', async () => {
    const { fakes, backend } = await restarted((four) => four.change('*nat\n-F KUBE-SERVICES\nCOMMIT\n'))
    await backend.sync(whole(state), signal)
    expect(programsOf(fakes)).toEqual(['save', 'restore', 'save'])
    const { fakes: right } = await restarted()
    expect(fakes[0].text().split('\n').toSorted()).toEqual(right[0].text().split('\n').toSorted())
  })

  it('is confirmed before it by the tables alone, by the same build', async () => {
    const { fakes, backend } = await restarted()
    expect(await backend.confirmLast(state.node, signal)).toBe(build && 'unchanged')
    expect(programsOf(fakes)).toEqual([])
  })

  it('is confirmed by reading where another program has changed what is not ours, and then reads no more', async () => {
    const { fakes, backend } = await restarted((four) =>
      four.change('*nat\n:OTHER - [0:0]\n-A OTHER -j RETURN\nCOMMIT\n'),
    )
    expect(await backend.confirmLast(state.node, signal)).toBe(build && 'read')
    for (const fake of fakes) fake.forgetCalls()
    await backend.sync(whole(state), signal)
    expect(programsOf(fakes)).toEqual(build === undefined ? ['save', 'save'] : [])
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it.each([
    ['a chain is empty', '*nat\n-F KUBE-SERVICES\nCOMMIT\n'],
    ['a rule of ours is there twice', '*nat\n-A KUBE-POSTROUTING -j RETURN\nCOMMIT\n'],
    ['a jump to our chains is gone', '*nat\n-F PREROUTING\nCOMMIT\n'],
    [
      'a chain of ours is new',
      '*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n-A KUBE-SVC-AAAAAAAAAAAAAAAA -j RETURN\nCOMMIT\n',
    ],
  ])('is not confirmed where %s', async (_, change) => {
    const { fakes, backend } = await restarted((four) => four.change(change))
    expect(await backend.confirmLast(state.node, signal)).toBeUndefined()
    await backend.sync(whole(state), signal)
    const { fakes: right } = await restarted()
    expect(fakes[0].text().split('\n').toSorted()).toEqual(right[0].text().split('\n').toSorted())
  })

  it('is not confirmed for a Node with other addresses, nor where there was no sync', async () => {
    const { fakes, backend } = await restarted()
    const { node } = stateOf({ ports: [], node: { addresses: ['192.168.55.77'] } })
    expect(await backend.confirmLast(node, signal)).toBeUndefined()
    const first = createIptablesBackend({
      config: DEFAULT_PROXY_CONFIG,
      iptables: fakes,
      witness: witnessOf(fakes),
      build,
    })
    expect(await first.confirmLast(state.node, signal)).toBeUndefined()
  })

  it('reads them where the state is another one', async () => {
    const { fakes, backend } = await restarted()
    await backend.sync(whole(changed), signal)
    expect(programsOf(fakes)).toContain('save')
    expect(fakes[0].text()).toContain('10.244.1.2')
  })

  it('reads them at each later sync of everything', async () => {
    const { fakes, backend } = await restarted()
    await backend.sync(whole(state), signal)
    await backend.sync(whole(state), signal)
    expect(programsOf(fakes)).toEqual(['save', 'save'])
  })
})
