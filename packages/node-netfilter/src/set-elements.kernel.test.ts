import { afterEach, beforeEach, expect, it } from 'vitest'
import { commitElements, findElement, generation, readElements, type ElementChange, type SetElement } from './index.js'
import { enterNetwork, nft } from './test-support/own-network.js'
import { describeKernel } from './test-support/namespace.js'

const FRONTS = `
  table ip blue {
    map endpoints { typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport; }
    map fronts { type ipv4_addr . inet_proto . inet_service : verdict; }
    set addresses { type ipv4_addr; }
    chain first { }
    chain second { }
  }
  table ip6 blue {
    set addresses { type ipv6_addr; }
  }
`
const ADDRESSES = { family: 'ip', table: 'blue', set: 'addresses' } as const
const FRONT_MAP = { family: 'ip', table: 'blue', set: 'fronts' } as const
const ENDPOINTS = { family: 'ip', table: 'blue', set: 'endpoints' } as const

let network: ReturnType<typeof enterNetwork>
beforeEach(() => {
  network = enterNetwork()
  nft(['-f', '-'], FRONTS)
})
afterEach(() => network.leave())

/** `10.0.0.1 . tcp . 80` and a slot, as nft writes them. */
const key = (address: readonly number[], port: number, slot?: number): Buffer =>
  Buffer.from([...address, 6, 0, 0, 0, port >> 8, port & 255, 0, 0, ...(slot === undefined ? [] : [slot, 0, 0, 0])])
const target = (address: readonly number[], port: number): Buffer =>
  Buffer.from([...address, port >> 8, port & 255, 0, 0])

async function elementsOf(place: Parameters<typeof readElements>[0]): Promise<readonly SetElement[]> {
  const elements: SetElement[] = []
  await readElements(place, (element) => elements.push(element))
  return elements.toSorted((a, b) => Buffer.compare(a.key, b.key))
}

const add = (set: Omit<ElementChange, 'type' | 'elements'>, ...elements: readonly SetElement[]): ElementChange => ({
  ...set,
  type: 'add',
  elements,
})

describeKernel('elements of sets and maps', () => {
  it('are what nft lists', async () => {
    const comment = 'shop/checkout:http é'
    await commitElements([
      add(ENDPOINTS, { key: key([10, 96, 0, 1], 80, 1), data: target([10, 244, 1, 5], 8080) }),
      add(FRONT_MAP, { key: key([10, 96, 0, 1], 80), verdict: { goto: 'first' }, comment }),
      add(
        FRONT_MAP,
        { key: key([10, 96, 0, 2], 443), verdict: 'drop' },
        { key: key([10, 96, 0, 3], 1), verdict: { jump: 'second' } },
      ),
      add(
        { family: 'ip6', table: 'blue', set: 'addresses' },
        { key: Buffer.from('fd00000000000000000000000000000a', 'hex') },
      ),
    ])
    const listing = nft(['list', 'ruleset'])
    expect(listing).toContain('10.96.0.1 . tcp . 80 . 1 : 10.244.1.5 . 8080')
    expect(listing).toContain(`10.96.0.1 . tcp . 80 comment "${comment}" : goto first`)
    expect(listing).toContain('10.96.0.2 . tcp . 443 : drop')
    expect(listing).toContain('10.96.0.3 . tcp . 1 : jump second')
    expect(listing).toContain('fd00::a')
  })

  it('of nft are read as they were written', async () => {
    nft([
      'add',
      'element',
      'ip',
      'blue',
      'fronts',
      '{ 10.96.0.1 . tcp . 80 comment "a/b" : goto second, 10.96.0.2 . tcp . 80 : accept }',
    ])
    nft(['add', 'element', 'ip', 'blue', 'endpoints', '{ 10.96.0.1 . tcp . 80 . 1 : 10.244.1.5 . 8080 }'])
    expect(await elementsOf(FRONT_MAP)).toEqual([
      { key: key([10, 96, 0, 1], 80), verdict: { goto: 'second' }, comment: 'a/b' },
      { key: key([10, 96, 0, 2], 80), verdict: 'accept' },
    ])
    expect(await elementsOf(ENDPOINTS)).toEqual([
      { key: key([10, 96, 0, 1], 80, 1), data: target([10, 244, 1, 5], 8080) },
    ])
    expect(await elementsOf(ADDRESSES)).toEqual([])
  })

  it('are found by their key', async () => {
    const [there, absent] = [key([10, 96, 0, 1], 80), key([10, 96, 0, 2], 80)]
    const element = { key: there, verdict: { goto: 'first' }, comment: 'a/b' }
    await commitElements([add(FRONT_MAP, element)])
    expect(await findElement(FRONT_MAP, there)).toEqual(element)
    expect(await findElement(FRONT_MAP, absent)).toBeUndefined()
    expect(await findElement({ ...FRONT_MAP, set: 'none' }, there)).toBeUndefined()
    await expect(findElement(FRONT_MAP, Buffer.alloc(3))).rejects.toMatchObject({ errnoName: 'EINVAL' })
  })

  it('are all found right after many were added, when a listing may leave out some', async () => {
    const elements = Array.from({ length: 5000 }, (_, index) => ({
      key: Buffer.from([10, 0, index >> 8, index & 255]),
    }))
    await commitElements([add(ADDRESSES, ...elements)])
    let found = 0
    for (const element of elements) if ((await findElement(ADDRESSES, element.key)) !== undefined) found += 1
    expect(found).toBe(elements.length)
  })

  it('are replaced in one commit', async () => {
    const front = key([10, 96, 0, 1], 80)
    await commitElements([add(FRONT_MAP, { key: front, verdict: { goto: 'first' } })])
    const before = await generation()
    await commitElements([
      { ...FRONT_MAP, type: 'delete', elements: [{ key: front }] },
      add(FRONT_MAP, { key: front, verdict: { goto: 'second' } }),
    ])
    expect(await elementsOf(FRONT_MAP)).toEqual([{ key: front, verdict: { goto: 'second' } }])
    expect((await generation()).id).toBe(before.id + 1)
  })

  it('are committed all or none, and the error names the set', async () => {
    const before = await generation()
    const changes = [
      add(ADDRESSES, { key: Buffer.from([10, 0, 0, 1]) }),
      { ...FRONT_MAP, type: 'delete' as const, elements: [{ key: key([10, 0, 0, 9], 1) }] },
      add(FRONT_MAP, { key: key([10, 0, 0, 1], 1), verdict: 'accept' as const }),
    ]
    await expect(commitElements(changes)).rejects.toMatchObject({
      code: 'FAILED',
      errnoName: 'ENOENT',
      message: expect.stringContaining('ip blue fronts') as unknown,
    })
    expect(await elementsOf(ADDRESSES)).toEqual([])
    expect((await generation()).id).toBe(before.id)
    await expect(commitElements([add({ ...ADDRESSES, set: 'none' }, { key: Buffer.alloc(4) })])).rejects.toMatchObject({
      errnoName: 'ENOENT',
    })
    await expect(readElements({ ...ADDRESSES, table: 'red' }, () => undefined)).rejects.toMatchObject({
      errnoName: 'ENOENT',
    })
  })

  it('are not committed after somebody else has changed nf_tables', async () => {
    const { id } = await generation()
    nft(['add', 'table', 'ip', 'red'])
    const change = add(ADDRESSES, { key: Buffer.from([10, 0, 0, 1]) })
    await expect(commitElements([change], { generation: id })).rejects.toMatchObject({ code: 'CHANGED' })
    expect(await elementsOf(ADDRESSES)).toEqual([])
    await commitElements([change], { generation: id + 1 })
    expect(await elementsOf(ADDRESSES)).toHaveLength(1)
  })

  it('are more than one message holds', async () => {
    const elements = Array.from({ length: 20_000 }, (_, index) => ({
      key: key([10, 96, index >> 8, index & 255], 80, 1),
      data: target([10, 244, index >> 8, index & 255], 8080),
    }))
    const before = await generation()
    await commitElements([add(ENDPOINTS, ...elements)])
    expect((await generation()).id).toBe(before.id + 1)
    // Whole buffers: a comparison element by element takes seconds.
    const bytes = (some: readonly SetElement[]): Buffer =>
      Buffer.concat(some.flatMap(({ key, data }) => [key, data ?? Buffer.alloc(0)]))
    // While the kernel makes the table larger, it may list an element twice.
    await expect.poll(async () => bytes(await elementsOf(ENDPOINTS)).equals(bytes(elements))).toBe(true)
    await commitElements([{ ...ENDPOINTS, type: 'delete', elements }])
    await expect.poll(async () => (await elementsOf(ENDPOINTS)).length).toBe(0)
  })

  it('none is no commit', async () => {
    const before = await generation()
    await commitElements([])
    await commitElements([add(ADDRESSES)])
    expect(await generation()).toEqual(before)
  })
})
