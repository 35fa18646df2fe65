import {
  route,
  buildState,
  DEFAULT_PROXY_CONFIG,
  fateKey,
  seq,
  type Packet,
  type AppendOutcome,
  type PacketFate,
  type ProxyConfig,
} from '@pointsman/core'
import { createMemoryChangeLog, type MemoryChangeLog } from '@pointsman/core/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bisect, type Bisection } from '../packages/cli/src/commands/bisect/answer.js'
import { bisectEveryNode } from '../packages/cli/src/commands/bisect/every-node.js'
import type { PacketOnNode } from '../packages/cli/src/commands/bisect/question.js'
import { recordsArbitrary } from './support/history-arbitraries.js'
import { INCIDENT_KINDS, incidentArbitrary } from './support/incident-arbitraries.js'
import { logOf } from './support/log-of.js'

const NODE = { name: 'node-a', addresses: [], podCIDRs: [], zone: '', taints: [], deleting: false }
const CONFIG: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } }

describe('an incident', () => {
  test.each(INCIDENT_KINDS)('of kind "%s" is found among harmless edits, with the edit behind it', (kind) => {
    fc.assert(
      fc.property(incidentArbitrary(kind), ({ events, packet, exact, broken, edit, cause }) => {
        const log = createMemoryChangeLog()
        const seqs = log.appendSync(events.map((event) => ({ type: 'event', event }))).map(seqOf)
        const from = seqs[events.findIndex(({ type }) => type === 'BOOKMARK')] ?? 0
        const found = bisected(log, { protocol: 'tcp', ...packet }, { exact, from })
        const flip = found.broken
        expect(flip?.record.seq).toBe(seqs[broken])
        const behind = flip && found.causeOf(flip)
        expect(behind?.type).toBe(cause)
        expect(behind?.type === 'service-edit' ? behind.edit.record.seq : undefined).toBe(
          edit === undefined ? undefined : seqs[edit],
        )
      }),
    )
  })
})

test('each flip is one that anybody finds who looks at all objects after every record', () => {
  fc.assert(
    fc.property(recordsArbitrary(), fc.constantFrom(...PACKETS), fc.boolean(), (records, packet, exact) => {
      const log = logOf(records)
      const { flips, first, last } = bisected(log, packet, { exact, from: 0 })
      const fates = fatesByHand(log, packet)
      const wanted = fates.flatMap(({ seq: position, fate }, index) => {
        const before = fates[index - 1]?.fate
        if (before === undefined || fateKey(before, exact) === fateKey(fate, exact)) return []
        return [{ seq: position, before, after: fate }]
      })
      expect(flips.map(({ record, before, after }) => ({ seq: record.seq, before, after }))).toEqual(wanted)
      expect([first, last]).toEqual([fates[0]?.fate, fates.at(-1)?.fate])
    }),
  )
})

test('--good leaves out what came before, and tells the rest with the same causes', () => {
  fc.assert(
    fc.property(recordsArbitrary(), fc.constantFrom(...PACKETS), fc.nat(30), (records, packet, good) => {
      // So far apart that what lies before has to be known from the objects that there were.
      const log = logOf(
        records.map((record, index) => ({ ...record, observedAt: 1_800_000_000_000 + index * 130_000 })),
      )
      const from = Math.min(good, log.head)
      const all = bisected(log, packet, { exact: true, from: 0 })
      const some = bisected(log, packet, { exact: true, from, isGoodAtFrom: true })
      const told = ({ flips, causeOf }: Bisection): readonly object[] =>
        flips
          .filter(({ record }) => record.seq > from)
          .map((flip) => ({ seq: flip.record.seq, before: flip.before, after: flip.after, cause: causeOf(flip) }))
      expect(told(some)).toEqual(told(all))
      const first = all.flips.findLast(({ record }) => record.seq <= from)?.after ?? all.first
      expect(fateKey(some.first, true)).toBe(fateKey(first, true))
    }),
  )
})

test('--node all finds of each node what --node finds, with the same causes', () => {
  fc.assert(
    fc.property(
      recordsArbitrary(),
      fc.constantFrom(...PACKETS),
      fc.boolean(),
      fc.boolean(),
      fc.nat(10),
      (records, packet, exact, isGoodAtFrom, at) => {
        const log = logOf(records)
        const from = Math.min(at, log.head)
        const span = { exact, isGoodAtFrom, from }
        const question = { ...spanQuestion(log, span), packetText: '', nodeAddresses: undefined }
        const packets = new Map(NAMES.map((name) => [name, { packet: addressed(packet), mockPacket: packet }]))
        const every = ended(bisectEveryNode({ ...question, packets }))
        const found = every.groups.flatMap((group) => group.nodes.map((name) => [name, group.found] as const))
        const own = NAMES.map((name) => [name, bisected(log, packet, { ...span, nodeName: name })] as const)
        const said = ({ broken, mended, first, last, causeOf }: Bisection): object => ({
          flips: [broken, mended].map((flip) => flip && { seq: flip.record.seq, cause: causeOf(flip).type }),
          fates: [first, last].map((fate) => fateKey(fate, exact)),
        })
        expect(new Map(found.map(([name, one]) => [name, said(one)]))).toEqual(
          new Map(own.map(([name, one]) => [name, said(one)])),
        )
      },
    ),
  )
})

const NAMES = ['node-a', 'node-b', 'node-c', 'node-d']

const PACKETS: readonly Packet[] = [
  { from: '10.244.1.99', to: '10.96.0.1', port: 80, protocol: 'tcp' },
  { from: 'outside', to: '203.0.113.1', port: 80, protocol: 'tcp' },
  { from: 'node', to: '10.96.0.2', port: 53, protocol: 'udp' },
  { from: 'outside', to: '192.168.55.10', port: 30_080, protocol: 'tcp' },
  { from: '10.244.2.1', to: '10.96.0.1', port: 8080, protocol: 'tcp' },
]

interface Span {
  readonly exact: boolean
  readonly from: number
  readonly isGoodAtFrom?: boolean
  readonly nodeName?: string
}

function bisected(log: MemoryChangeLog, packet: Packet, span: Span): Bisection {
  const known = { ...NODE, name: span.nodeName ?? NODE.name }
  const steps = bisect({
    ...spanQuestion(log, span),
    packet: addressed(packet),
    fateAt: ({ node = known, ...state }, config) => route({ ...state, node }, config, packet),
    node: known,
    state: buildState({ objects: [] }).state,
  })
  return ended(steps)
}

const spanQuestion = (log: MemoryChangeLog, { exact, from, isGoodAtFrom = false }: Span) => ({
  reader: log,
  exact,
  from: { seq: seq(from), time: log.timeOf(seq(from)) ?? 0 },
  isGoodAtFrom,
  to: { seq: log.head },
  config: CONFIG,
  configs: true,
  assumptions: [],
})

const addressed = (packet: Packet): PacketOnNode['packet'] => ({
  protocol: packet.protocol === 'udp' ? 'UDP' : 'TCP',
  family: 'IPv4',
  source: packet.from,
  destination: packet.to,
  destinationPort: packet.port,
  from: 'outside',
})

function ended<Answer>(steps: Generator<unknown, Answer, undefined>): Answer {
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
  }
}

interface FateAfter {
  readonly seq: number
  readonly fate: PacketFate
}

/** The fate of the packet before the first record, and after each. */
function fatesByHand(log: MemoryChangeLog, packet: Packet): readonly FateAfter[] {
  const positions = [0, ...[...log.records()].map((record) => record.seq)]
  const firstConfig = [...log.records({ types: ['config'] })][0]
  return positions.map((position) => {
    const { objects } = log.objectsAt(seq(position))
    const { node = NODE, ...state } = buildState({ objects, nodeName: 'node-a' }).state
    const logged = log.configAt(seq(position)) ?? (firstConfig?.type === 'config' ? firstConfig.config : {})
    return { seq: position, fate: route({ ...state, node }, { ...CONFIG, ...logged }, packet) }
  })
}

const seqOf = (outcome: AppendOutcome): number => (outcome.type === 'refused' ? 0 : outcome.seq)
