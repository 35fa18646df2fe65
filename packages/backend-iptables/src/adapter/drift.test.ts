import { DEFAULT_PROXY_CONFIG, seq } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import fc from 'fast-check'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { describe, expect, it } from 'vitest'
import { createIptablesBackend, type IptablesBackend } from './iptables-backend.js'

const ports = Array.from({ length: 6 }, (_, index) => ({
  is: `shop/service-${index}:http`,
  clusterIP: `10.96.0.${index + 1}`,
  nodePort: index % 2 === 0 ? 30_000 + index : 0,
  // Two Services that claim one address, so that the order of their rules counts.
  externalIPs: index < 2 ? ['203.0.113.1'] : [],
  affinitySeconds: index === 3 ? 60 : 0,
  endpoints: index === 5 ? [] : [`10.244.1.${index + 1}:80@node-a`, `10.244.2.${index + 1}:80@node-b`],
}))
const state = stateOf({ ports, node: {} })
const signal = new AbortController().signal

async function inForce(): Promise<{ readonly fake: FakeIptables; readonly backend: IptablesBackend }> {
  const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
  const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
  await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
  fake.forgetCalls()
  return { fake, backend }
}

/** Rules of one shared chain may stand in any order. */
const sorted = (text: string): readonly string[] => text.split('\n').toSorted()

/** In the chains of the kernel their order counts, but for those that are kubelet's too. */
const jumpsIn = (text: string): readonly string[] => text.match(/^-A (?!KUBE-).* -j KUBE-(?!FIREWALL).*$/gm) ?? []

describe('drift', () => {
  it('is none when nobody has changed anything, and nothing is sent', async () => {
    const { fake, backend } = await inForce()
    expect(await backend.repairDrift(signal)).toEqual([])
    expect(fake.calls.filter(({ program }) => program === 'restore')).toEqual([])
  })

  it('is none where two addresses of a service are one, as one service has them and as two do', async () => {
    const twice = { externalIPs: ['203.0.113.9'], loadBalancerVIPs: ['203.0.113.9'], endpoints: [] }
    const both = stateOf({
      ports: [
        { is: 'shop/one:http', clusterIP: '10.96.0.1', ...twice },
        { is: 'shop/two:http', clusterIP: '10.96.0.2', ...twice },
      ],
      node: {},
    })
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    await backend.sync({ state: both, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
    expect(fake.text().match(/203\.0\.113\.9/g)).toHaveLength(4)
    expect(await backend.repairDrift(signal)).toEqual([])
    const restarted = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    const request = { state: both, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
    expect(await restarted.sync(request, signal)).toMatchObject({ bytes: 0 })
  })

  it('in one chain writes that chain alone, so that the lists of affinity elsewhere stay', async () => {
    const { fake, backend } = await inForce()
    const before = fake.text()
    const chain = /-A (KUBE-SVC-\S+) .*10\.244\.1\.3:80/.exec(before)?.[1] ?? ''
    fake.change(`*nat\n-A ${chain} -j RETURN\nCOMMIT\n`)
    expect(await backend.repairDrift(signal)).toMatchObject([{ family: 'IPv4', chains: [`nat ${chain}`] }])
    expect(fake.text()).toBe(before)
    const sent = fake.calls.flatMap(({ text = '' }) => text.split('\n')).filter((line) => /^(?::|-)/.test(line))
    expect(sent.filter((line) => !line.includes(chain))).toEqual([])
  })

  it('of a flushed table is mended whole, and said chain by chain', async () => {
    const { fake, backend } = await inForce()
    const before = fake.text()
    fake.change('*filter\n-F\nCOMMIT\n')
    const [drift] = (await backend.repairDrift(signal)) ?? []
    expect(drift?.chains).toEqual([
      'filter FORWARD',
      'filter INPUT',
      'filter KUBE-FIREWALL',
      'filter KUBE-FORWARD',
      'filter KUBE-SERVICES',
      'filter OUTPUT',
    ])
    expect(fake.text()).toBe(before)
  })

  it('of any kind is mended, and is then none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), fc.boolean(), async (picks, doubles) => {
        const { fake, backend } = await inForce()
        const before = fake.text()
        for (const pick of picks) {
          const table = pick % 2 === 0 ? 'nat' : 'filter'
          const rules = fake
            .text(table)
            .split('\n')
            .filter((line) => line.startsWith('-A'))
          const rule = rules[pick % Math.max(1, rules.length)] ?? '-A INPUT -j ACCEPT'
          const foreign = `-I ${rule.split(' ')[1] ?? ''} -s 192.0.2.1/32 -j RETURN`
          // What is in KUBE-FIREWALL besides may be kubelet's.
          const isOurs = /^-A KUBE-(?!FIREWALL)/.test(rule)
          const isJump = /^-A (?!KUBE-).* -j KUBE-(?!FIREWALL)/.test(rule)
          const changes = isOurs ? [rule, foreign] : isJump ? [rule] : []
          const change = doubles ? changes[pick % 3] : undefined
          fake.change(`*${table}\n${change ?? rule.replace(/^-A/, '-D')}\nCOMMIT\n`)
        }
        await backend.repairDrift(signal)
        expect(sorted(fake.text())).toEqual(sorted(before))
        expect(jumpsIn(fake.text())).toEqual(jumpsIn(before))
        expect(await backend.repairDrift(signal)).toEqual([])
      }),
    )
  })

  it('is none in a chain of a Service that is gone, and that a rule of somebody else keeps there, once it is empty', async () => {
    const { fake, backend } = await inForce()
    const kept = new Map([...state.services].filter(([, { id }]) => !id.includes('service-1')))
    const [chain = '', ...others] = [...fake.text('nat').matchAll(/^:(KUBE-(?:SVC|SEP|EXT)-\S+)/gm)]
      .map(([, name]) => name ?? '')
      .filter((name) => new RegExp(`^-A ${name} .*service-1`, 'm').test(fake.text('nat')))
    const nobodys = 'KUBE-SVC-AAAAAAAAAAAAAAAA'
    fake.change(`*nat\n:THEIRS - [0:0]\n:${nobodys} - [0:0]\n-A THEIRS -j ${chain}\nCOMMIT\n`)
    const without = { ...state, services: kept }
    const syncWith = (by: IptablesBackend) =>
      by.sync({ state: without, changed: 'all', fromSeq: seq(2), toSeq: seq(2) }, signal)
    const restarted = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    await syncWith(restarted)
    expect(fake.text('nat')).toMatch(new RegExp(`^:${chain} `, 'm'))
    expect(fake.text('nat')).not.toMatch(new RegExp(`^-A ${chain} `, 'm'))
    for (const other of [...others, nobodys]) expect(fake.text('nat')).not.toContain(other)

    fake.forgetCalls()
    expect(await restarted.repairDrift(signal)).toEqual([])
    // Nor does a proxy that finds it so when it starts.
    await syncWith(createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] }))
    expect(fake.calls.filter(({ program }) => program === 'restore')).toEqual([])

    // It is filled, and emptied, all the same.
    fake.change(`*nat\n-A ${chain} -j ACCEPT\nCOMMIT\n`)
    expect(await restarted.repairDrift(signal)).toMatchObject([{ family: 'IPv4', chains: [`nat ${chain}`] }])
    expect(fake.text('nat')).not.toMatch(new RegExp(`^-A ${chain} `, 'm'))
    await backend.sync({ state, changed: 'all', fromSeq: seq(3), toSeq: seq(3) }, signal)
    expect(fake.text('nat')).toMatch(new RegExp(`^-A ${chain} `, 'm'))
  })

  it('is no change that a sync makes between the reading and the comparison', async () => {
    const { fake } = await inForce()
    const name = [...state.services.keys()].find((id) => id.includes('service-2'))
    const endpoints = new Map([...state.endpoints].filter(([id]) => id !== name))
    const changed = { ...state, endpoints }
    const next = { state: changed, changed: new Set(name === undefined ? [] : [name]), fromSeq: seq(2), toSeq: seq(2) }
    let isRead = false
    const syncs: Promise<unknown>[] = []
    const reading = createIptablesBackend({
      config: DEFAULT_PROXY_CONFIG,
      // The sync has its turn, and has not come to this family when the reading ends.
      conntrack: {
        beforeSync: () => new Promise<void>((resolve) => void setImmediate(resolve)),
        afterSync: () => undefined,
        close: () => Promise.resolve(),
      },
      iptables: [
        {
          ...fake,
          async *saveLines(...args: Parameters<FakeIptables['saveLines']>) {
            yield* fake.saveLines(...args)
            if (!isRead) return
            isRead = false
            // The comparison comes after it.
            syncs.push(reading.sync(next, signal))
          },
        },
      ],
    })
    await reading.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
    isRead = true
    expect(await reading.repairDrift(signal)).toEqual([])
    await Promise.all(syncs)
    expect(syncs).toHaveLength(1)
    const duplicates = fake
      .text('nat')
      .split('\n')
      .filter((line, index, lines) => line.startsWith('-A') && lines.indexOf(line) !== index)
    expect(duplicates).toEqual([])
    expect(await reading.repairDrift(signal)).toEqual([])
  })

  it('is found however quickly one sync follows the other, though each makes a save begin again', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const begunAgain = async (): Promise<void> => {
      let calls: number
      do {
        calls = fake.calls.length
        await new Promise((resolve) => void setTimeout(resolve, 5))
      } while (fake.calls.length !== calls)
    }
    const backend = createIptablesBackend({
      config: DEFAULT_PROXY_CONFIG,
      holdAfterMs: 20,
      iptables: [
        {
          ...fake,
          async *saveLines(...args: Parameters<FakeIptables['saveLines']>) {
            await begunAgain()
            yield* fake.saveLines(...args)
          },
        },
      ],
    })
    await backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
    const before = fake.text()
    fake.change('*nat\n-F KUBE-POSTROUTING\nCOMMIT\n')
    const name = [...state.services.keys()].find((id) => id.includes('service-4'))
    const changed = new Set(name === undefined ? [] : [name])
    const without = { ...state, endpoints: new Map([...state.endpoints].filter(([id]) => id !== name)) }
    const churning = { on: true }
    const churn = async (): Promise<void> => {
      for (let at = 2; churning.on; at += 1) {
        const next = at % 2 === 0 ? without : state
        await new Promise((resolve) => void setImmediate(resolve))
        await backend.sync({ state: next, changed, fromSeq: seq(at), toSeq: seq(at) }, signal)
      }
    }
    const churned = churn()
    const drifts = await backend.repairDrift(signal)
    churning.on = false
    await churned
    expect(drifts).toMatchObject([
      { family: 'IPv4', chains: expect.arrayContaining(['nat KUBE-POSTROUTING']) as unknown },
    ])
    await backend.sync({ state, changed, fromSeq: seq(9), toSeq: seq(9) }, signal)
    expect(sorted(fake.text())).toEqual(sorted(before))
  })

  it('is not looked for before a sync, nor after one that failed', async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    expect(await backend.repairDrift(signal)).toBeUndefined()
    expect(fake.calls).toEqual([])
  })
})

describe('in layout classic', () => {
  const config = {
    ...DEFAULT_PROXY_CONFIG,
    layout: 'classic',
    detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] },
  } as const
  const request = { state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
  const start = async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config, iptables: [fake] })
    await backend.sync(request, signal)
    return { fake, backend }
  }
  /** Rules in chains that all share which mark for masquerading, each with the first one after it for the same packets, if it is the first of all. */
  const pairs = (text: string): readonly (readonly [mark: string, jump: string])[] => {
    const lines = text.split('\n').filter((line) => /^-A KUBE-(?:SERVICES|NODEPORTS) /.test(line))
    const packets = (line: string): string => (line.match(/ -d \S+| --dport \S+/g) ?? []).join('')
    return lines.flatMap((line) => {
      const [first, next = ''] = lines.filter((other) => packets(other) === packets(line))
      return line.endsWith('-j KUBE-MARK-MASQ') && first === line ? [[line, next] as const] : []
    })
  }

  it('is a rule that marks for masquerading, moved behind the one that sends the packets away', async () => {
    const { fake, backend } = await start()
    const before = fake.text('nat')
    const marked = pairs(before)
    // Cluster IPs, external IPs and node ports.
    expect(marked.length).toBeGreaterThan(8)
    for (const [mark, jump] of marked) {
      const chain = mark.split(' ')[1] ?? ''
      fake.change(
        `*nat\n${mark.replace('-A', '-D')}\n${jump.replace('-A', '-D')}\n${mark.replace('-A', '-I')}\n${jump.replace('-A', '-I')}\nCOMMIT\n`,
      )
      expect(pairs(fake.text('nat'))).toHaveLength(marked.length - 1)
      expect(await backend.repairDrift(signal)).toMatchObject([{ chains: expect.arrayContaining([`nat ${chain}`]) }])
      expect(
        pairs(fake.text('nat'))
          .map(([one]) => one)
          .toSorted(),
      ).toEqual(marked.map(([one]) => one).toSorted())
      expect(sorted(fake.text('nat'))).toEqual(sorted(before))
    }
    expect(await backend.repairDrift(signal)).toEqual([])
    // Nor does a start leave it so.
    const [first] = marked
    fake.change(`*nat\n${first?.[1].replace('-A', '-D') ?? ''}\n${first?.[1].replace('-A', '-I') ?? ''}\nCOMMIT\n`)
    await createIptablesBackend({ config, iptables: [fake] }).sync(request, signal)
    expect(pairs(fake.text('nat'))).toHaveLength(marked.length)
  })

  it('of one of two such rules is repaired in their order, and others of the service stay', async () => {
    const { fake, backend } = await start()
    const marked = pairs(fake.text('nat'))
    for (const [mark, jump] of marked) {
      for (const lost of [mark, jump]) {
        fake.change(`*nat\n${lost.replace('-A', '-D')}\nCOMMIT\n`)
        expect(await backend.repairDrift(signal)).toHaveLength(1)
        expect(pairs(fake.text('nat'))).toHaveLength(marked.length)
      }
    }
  })
})
