import { isDeepStrictEqual } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { groupOf, type Flow, type FlowTable, type ListedGroup } from '../stale-flows.js'
import { flowOf, flowText } from './flow-text.js'

/** A kernel's flows, or what stands in for them, none at first. */
export interface FlowTableWorld {
  readonly table: FlowTable
  readonly add: (...flows: readonly string[]) => Promise<void>
  readonly end: () => void
}

const FLOWS = [
  '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53',
  '10.0.1.2:4001 > 10.96.0.10:53 > 10.244.1.5:53',
  '10.0.1.2:4002 > 10.96.0.10:53 > 10.244.1.6:53',
  '10.0.1.2:4004 > 10.96.0.11:53 > 10.244.1.5:53',
  '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53 zone 5',
  '10.0.1.2:4003 > 10.96.0.10:53',
  '[fd00::2]:4000 > [fd00:96::a]:53 > [fd00:244::5]:53',
] as const

/** The first flow as other rules made it. */
const CAME_AGAIN = '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.9:53'

/** What every table of flows does: conntrack(8), its fake, and whatever else is to take their place. */
export function describeFlowTable(create: () => FlowTableWorld): void {
  let world: FlowTableWorld

  beforeEach(async () => {
    world = create()
    await world.add(...FLOWS)
  })
  afterEach(() => world.end())

  const listed = async (family: 'IPv4' | 'IPv6' = 'IPv4'): Promise<readonly string[]> => {
    const flows: string[] = []
    await world.table.listFlows({ family, protocol: 'udp' }, (flow) => flows.push(flowText(flow)))
    return flows.toSorted()
  }

  test('lists the flows of one family', async () => {
    expect(await listed()).toEqual(FLOWS.slice(0, 6).toSorted())
    expect(await listed('IPv6')).toEqual(FLOWS.slice(6))
  })

  /** The group of one of the flows, as a listing has it. */
  const groupWith = async (text: string): Promise<ListedGroup> => {
    const first = flowOf(text)
    const group = groupOf(first)
    const flows: Flow[] = []
    await world.table.listFlows({ family: first.family, protocol: 'udp' }, (flow) => {
      if (isDeepStrictEqual(groupOf(flow), group)) flows.push(flow)
    })
    return { ...group, flows }
  }

  test.each([
    ['all flows of one destination and target', [0, 1]],
    ['a target of its own', [2]],
    ['a destination of its own', [3]],
    ['one zone', [4]],
    ['flows that are not translated', [5]],
  ])('deletes %s, and no others', async (_, indexes) => {
    const [first = 0] = indexes
    expect(await world.table.deleteFlows(await groupWith(FLOWS[first] ?? ''))).toBe(indexes.length)
    expect(await listed()).toEqual(FLOWS.filter((_flow, at) => at < 6 && !indexes.includes(at)).toSorted())
    expect(await listed('IPv6')).toEqual(FLOWS.slice(6))
  })

  test('deletes flows of IPv6', async () => {
    expect(await world.table.deleteFlows(await groupWith(FLOWS[6]))).toBe(1)
    expect(await listed('IPv6')).toEqual([])
    expect(await listed()).toHaveLength(6)
  })

  test('finds nothing to delete where a flow came again by other rules', async () => {
    const group = { ...groupOf(flowOf(CAME_AGAIN)), flows: [flowOf(CAME_AGAIN)] }
    expect(await world.table.deleteFlows(group)).toBe(0)
    expect(await listed()).toHaveLength(6)
  })
}
