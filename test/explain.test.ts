import {
  buildState,
  DEFAULT_PROXY_CONFIG,
  healthCheckedServices,
  nodeWithoutObject,
  serviceName,
  serviceOf,
  storedConfig,
  seq,
  type ChangeLogReader,
  type PacketFate,
  type ProxyConfig,
  type Seq,
} from '@pointsman/core'
import {
  createEventMaker,
  node,
  service as serviceManifest,
  slice,
  createMemoryChangeLog,
} from '@pointsman/core/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { explainService } from '../packages/cli/src/commands/explain/answer.js'
import { latestChanges } from '../packages/cli/src/commands/explain/latest-changes.js'
import { recordsArbitrary } from './support/history-arbitraries.js'
import { logOf } from './support/log-of.js'

const service = serviceName('shop', 'web')

test('what changed the answer last is the same however few records of the Service are looked at', () => {
  fc.assert(
    fc.property(recordsArbitrary(), fc.integer({ min: 1, max: 8 }), (records, mostRecords) => {
      const log = logOf(records)
      const all = changesIn(log, 1000)
      const latest = changesIn(log, mostRecords)
      expect(latest).toEqual(all.slice(0, latest.length))
      if (mostRecords > records.length) expect(latest).toEqual(all)
    }),
  )
})

test('what changed the answer last is the same where the log was pruned, as far as it goes back', () => {
  fc.assert(
    fc.property(recordsArbitrary(), fc.nat(), fc.integer({ min: 1, max: 8 }), (records, pick, mostRecords) => {
      const log = logOf(records)
      const first = records[pick % records.length]
      // The configuration of the first record that is left counts as that of what was pruned.
      fc.pre(first?.type === 'object')
      const pruned = prunedBefore(log, first.seq)
      const whole = changesIn(log, 1000).filter((change) => change.seq >= first.seq)
      expect(changesIn(pruned, 1000)).toEqual(whole)
      const latest = changesIn(pruned, mostRecords)
      expect(latest).toEqual(whole.slice(0, latest.length))
    }),
  )
})

/** What a pruned log answers: the state that it begins with, and no record of how that came about. */
const prunedBefore = (log: ChangeLogReader, firstSeq: Seq): ChangeLogReader => ({
  ...log,
  info: () => ({ ...log.info(), pruned: true, firstSeq }),
  records: (filter = {}) => log.records({ ...filter, fromSeq: seq(Math.max(firstSeq, filter.fromSeq ?? 0)) }),
})

interface TellableChange {
  readonly seq: Seq
  readonly before: PacketFate
  readonly after: PacketFate
}

function changesIn(
  reader: ChangeLogReader,
  mostRecords: number,
  config: ProxyConfig = DEFAULT_PROXY_CONFIG,
): readonly TellableChange[] {
  const toSeq = reader.info().lastSeq
  const { objects } = reader.objectsAt(toSeq)
  const { changes } = latestChanges({
    reader,
    service,
    toSeq,
    objects: objects.filter((object) => object.kind === 'Node' || serviceOf(object) === service),
    nodeName: 'node-a',
    config,
    configs: true,
    onNode: (state) => ({ ...state, node: state.node ?? nodeWithoutObject('node-a') }),
    limit: 1000,
    mostRecords,
  })
  return changes.map(({ flip: { record, before, after } }) => ({ seq: record.seq, before, after }))
}

test('what a later configuration adds is not taken to have been there before', () => {
  const log = createMemoryChangeLog()
  const make = createEventMaker()
  const web = (team: string) =>
    serviceManifest({
      namespace: 'shop',
      name: 'web',
      labels: { team },
      spec: { type: 'NodePort', clusterIP: '10.96.0.10', ports: [{ name: 'http', port: 80, nodePort: 30_080 }] },
    })
  const primary = storedConfig({ ...DEFAULT_PROXY_CONFIG, nodePortAddresses: 'primary' })
  const elsewhere = { ...DEFAULT_PROXY_CONFIG, nodePortAddresses: 'primary', nodeIp: '192.0.2.1' } as const
  log.appendSync([
    { type: 'config', observedAt: 0, config: primary },
    ...[
      make.added(node({ name: 'node-a', addresses: ['192.168.55.10'] })),
      make.added(slice({ namespace: 'shop', name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] })),
      ...['a', 'b', 'c'].map((team) => make.modified(web(team))),
    ].map((event) => ({ type: 'event' as const, event })),
    { type: 'config', observedAt: Date.UTC(2027, 0, 1), config: storedConfig(elsewhere) },
  ])
  // The configuration of the question is the newer one: of the log's beginning only the latest two records are looked at.
  expect(changesIn(log, 2, elsewhere)).toMatchObject([{ seq: log.info().lastSeq }])
})

test('a Pod of two families is one local endpoint, to explain as to the health-check port', () => {
  const objects = [
    node({ name: 'node-a' }),
    serviceManifest({
      namespace: 'shop',
      name: 'web',
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.96.0.10',
        clusterIPs: ['10.96.0.10', 'fd00:96::a'],
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 32_000,
        ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
      },
    }),
    ...(['10.244.1.1', 'fd00:244::1'] as const).map((address, index) =>
      slice({
        namespace: 'shop',
        name: `web-${index}`,
        service: 'web',
        addressType: address.includes(':') ? 'IPv6' : 'IPv4',
        endpoints: [{ addresses: [address], nodeName: 'node-a' }],
      }),
    ),
  ]
  const { state } = buildState({ objects, nodeName: 'node-a' })
  const { healthCheck } = explainService({ service, objects, state, config: DEFAULT_PROXY_CONFIG })
  expect(healthCheck).toEqual({ port: 32_000, status: 200, localEndpoints: 1 })
  expect(healthCheckedServices(state)).toMatchObject([{ service, port: 32_000, localEndpoints: 1 }])
})
