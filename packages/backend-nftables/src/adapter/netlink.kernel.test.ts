import { DEFAULT_PROXY_CONFIG, seq, type LastSync, type State } from '@pointsman/core'
import { changedBetween, stateOf } from '@pointsman/core/testing'
import { createWitness, runProcess, type RunRequest } from 'node-iptables'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeWithNft, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { openNetlink, type Netlink } from './netlink.js'
import { openNft } from './nft.js'
import { createNftablesBackend, type NftablesBackendOptions } from './nftables-backend.js'

const FAMILIES = ['IPv4', 'IPv6'] as const
const signal = new AbortController().signal

const stateWith = (endpoint: string): State =>
  stateOf({
    ports: [
      {
        is: 'shop/web:http',
        clusterIP: '10.96.0.1',
        endpoints: [endpoint, '10.244.2.1:8080@node-b'],
        nodePort: 30_001,
      },
      { is: 'shop/six:http', clusterIP: 'fd00:10:96::1', family: 'IPv6', endpoints: ['[fd00:10:244::1]:80@node-a'] },
      { is: 'shop/none:http', clusterIP: '10.96.0.2', endpoints: [] },
      { is: 'shop/kept:http', clusterIP: '10.96.0.3', endpoints: ['10.244.2.2:80@node-a'], affinitySeconds: 60 },
    ],
    node: {},
  })
const BEFORE = stateWith('10.244.1.1:8080@node-a')
const AFTER = stateWith('10.244.1.2:8080@node-a')
const REQUEST = { fromSeq: seq(1), toSeq: seq(1) }
const whole = (state: State) => ({ state, changed: 'all' as const, objects: 'objects', ...REQUEST })

describeWithNft('the nftables backend over netlink', () => {
  let namespace: EnteredNamespace
  let processes: RunRequest[]
  beforeEach(() => {
    namespace = enterKernelNamespace()
    processes = []
  })
  afterEach(() => namespace.remove())

  const listed = (set: string, family = 'ip'): string =>
    namespace.run(['nft', 'list', 'map', family, 'kube-proxy', set])
  const open = async (
    options: Partial<NftablesBackendOptions> = {},
    change: (real: Netlink) => Netlink = (real) => real,
  ) => {
    const netlink = await openNetlink()
    if (netlink === undefined) throw new Error('this machine has no netlink')
    const run: typeof runProcess = (request) => {
      if (request.argv[1] !== '--version') processes.push(request)
      return runProcess(request)
    }
    return createNftablesBackend({
      config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout: 'compact', nodePortAddresses: 'primary' },
      families: FAMILIES,
      nft: await openNft({ run }),
      netlink: change(netlink),
      ...options,
    })
  }

  it('replaces an endpoint without a process', async () => {
    const backend = await open()
    await backend.sync(whole(BEFORE), signal)
    processes.length = 0
    const { bytes } = await backend.sync({ state: AFTER, changed: changedBetween(BEFORE, AFTER), ...REQUEST }, signal)
    expect(processes).toEqual([])
    expect(bytes).toBeGreaterThan(0)
    expect(listed('spread-endpoints')).toContain(': 10.244.1.2 . 8080')
    expect(listed('spread-endpoints')).not.toContain('10.244.1.1')
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it('goes through nft where others change nf_tables each time', async () => {
    let commits = 0
    const backend = await open({}, (real) => ({
      ...real,
      commitElements: (changes, options) => {
        commits += 1
        namespace.run(['nft', 'add', 'table', 'ip', `other-${commits}`])
        return real.commitElements(changes, options)
      },
    }))
    await backend.sync(whole(BEFORE), signal)
    processes.length = 0
    await backend.sync({ state: AFTER, changed: changedBetween(BEFORE, AFTER), ...REQUEST }, signal)
    expect(processes.map(({ argv }) => argv[1])).toEqual(['-f'])
    expect(listed('spread-endpoints')).toContain(': 10.244.1.2 . 8080')
  })

  it('puts back elements that another program deleted or changed, without nft', async () => {
    const backend = await open()
    await backend.sync(whole(BEFORE), signal)
    const before = listed('spread-endpoints')
    const element = /10\.96\.0\.1 \. tcp \. 80 \. \d+/.exec(before)?.[0] ?? ''
    namespace.run(['nft', 'delete', 'element', 'ip', 'kube-proxy', 'spread-endpoints', `{ ${element} }`])
    namespace.run(['nft', 'add', 'element', 'ip', 'kube-proxy', 'cluster-ips', '{ 10.96.9.9 }'])
    processes.length = 0
    expect(await backend.repairDrift(signal)).toMatchObject([
      { family: 'IPv4', chains: ['kube-proxy cluster-ips', 'kube-proxy spread-endpoints'] },
    ])
    expect(processes.filter(({ argv }) => argv[1] === '-f')).toEqual([])
    expect(listed('spread-endpoints')).toBe(before)
    expect(await backend.repairDrift(signal)).toEqual([])
  })

  it('accuses nobody of elements that the kernel left out of a listing', async () => {
    let leftOut = 0
    const backend = await open({}, (real) => ({
      ...real,
      readElements: async (place, onElement) => {
        let isFirst = place.set === 'spread-endpoints'
        await real.readElements(place, (element) => {
          if (isFirst) leftOut += 1
          else onElement(element)
          isFirst = false
        })
      },
    }))
    await backend.sync(whole(BEFORE), signal)
    leftOut = 0
    expect(await backend.repairDrift(signal)).toEqual([])
    expect(leftOut).toBeGreaterThan(0)
  })

  it('reads again what the kernel listed twice', async () => {
    let twice = 0
    const backend = await open()
    await backend.sync(whole(BEFORE), signal)
    const other = await open({}, (real) => ({
      ...real,
      readElements: (place, onElement) =>
        real.readElements(place, (element) => {
          onElement(element)
          if (twice < 2 && place.set === 'spread-endpoints') {
            twice += 1
            onElement(element)
          }
        }),
    }))
    expect(await other.read()).toEqual(await backend.read())
    expect(twice).toBe(2)
  })

  describe.each([
    ['another build', undefined],
    ['the same build', 'a build'],
  ])('started again, by %s', (_, build) => {
    async function leave(): Promise<LastSync> {
      const witness = createWitness('boot')
      const { id } = (await (await openNetlink())?.generation()) ?? { id: 0 }
      witness.listens({ type: 'listening', by: 'netlink', since: id })
      const made = new Set<number>()
      const backend = await open({ witness, build }, (real) => ({
        ...real,
        onOwn: (generation, { isMade }) => void (isMade ? made.add(generation) : made.delete(generation)),
      }))
      await backend.sync(whole(BEFORE), signal)
      // As the watch of an agent reports them.
      const now = (await (await openNetlink())?.generation())?.id ?? 0
      expect(made.size).toBeGreaterThan(0)
      for (let generation = id + 1; generation <= now; generation++)
        witness.heard({ type: 'generation', generation, pid: 1, command: 'nft' }, { isOwn: () => true })
      const { mark, digest } = await backend.sync(
        { state: BEFORE, changed: new Set(), objects: 'objects', ...REQUEST },
        signal,
      )
      if (mark === undefined) throw new Error('the sync has no mark')
      processes.length = 0
      return { mark, digest }
    }

    it('reads and writes nothing where nobody has changed nf_tables, and then what has changed alone', async () => {
      const lastSync = await leave()
      const backend = await open({ witness: createWitness('boot'), build, lastSync })
      expect(await backend.sync(whole(BEFORE), signal)).toMatchObject({
        full: true,
        bytes: 0,
        digest: lastSync.digest,
      })
      await backend.sync({ state: AFTER, changed: changedBetween(BEFORE, AFTER), ...REQUEST }, signal)
      expect(processes).toEqual([])
      expect(listed('spread-endpoints')).toContain(': 10.244.1.2 . 8080')
      expect(await backend.repairDrift(signal)).toEqual([])
      const again = await open()
      const { bytes } = await again.sync(whole(AFTER), signal)
      expect(bytes).toBe(0)
    })

    it('is confirmed before the first sync by the generation, else by reading, by the same build', async () => {
      const lastSync = await leave()
      const unchanged = await open({ witness: createWitness('boot'), build, lastSync })
      expect(await unchanged.confirmLast?.(BEFORE.node, signal)).toBe(build && 'unchanged')
      expect(processes).toEqual([])
      const node = BEFORE.node && { ...BEFORE.node, addresses: ['192.168.55.77'] }
      const moved = await open({ witness: createWitness('boot'), build, lastSync })
      expect(await moved.confirmLast?.(node, signal)).toBeUndefined()
      namespace.run(['nft', 'add table inet another'])
      const changed = await open({ witness: createWitness('boot'), build, lastSync })
      expect(await changed.confirmLast?.(BEFORE.node, signal)).toBe(build && 'read')
      if (build !== undefined) {
        processes.length = 0
        expect(await changed.sync(whole(BEFORE), signal)).toMatchObject({ bytes: 0, digest: lastSync.digest })
        expect(processes).toEqual([])
      }
      namespace.run(['nft', 'flush map ip kube-proxy spread-endpoints'])
      const damaged = await open({ witness: createWitness('boot'), build, lastSync })
      expect(await damaged.confirmLast?.(BEFORE.node, signal)).toBeUndefined()
      namespace.run(['nft', 'delete table inet another'])
    })

    it('reads the tables where another program has changed nf_tables, or the state is another', async () => {
      const lastSync = await leave()
      const other = await open({ witness: createWitness('boot'), build, lastSync })
      await other.sync({ ...whole(AFTER), objects: 'others' }, signal)
      expect(processes.length).toBeGreaterThan(0)
      expect(listed('spread-endpoints')).toContain(': 10.244.1.2 . 8080')
      const mark = await leave()
      namespace.run(['nft', 'delete', 'chain', 'ip', 'kube-proxy', 'filter-forward'])
      const backend = await open({ witness: createWitness('boot'), build, lastSync: mark })
      await backend.sync(whole(BEFORE), signal)
      expect(namespace.run(['nft', 'list', 'chains', 'ip'])).toContain('filter-forward')
    })
  })
})
