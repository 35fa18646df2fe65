import { type ChangeLogReader, DEFAULT_PROXY_CONFIG, serviceName } from '@pointsman/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { belongsTo } from '../packages/cli/src/explain/explain-service.js'
import { latestChanges } from '../packages/cli/src/explain/latest-changes.js'
import { nodeWithoutObject } from '../packages/cli/src/input/rules-question.js'
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

function changesIn(reader: ChangeLogReader, mostRecords: number): readonly object[] {
  const toSeq = reader.info().lastSeq
  const { objects } = reader.objectsAt(toSeq)
  const { changes } = latestChanges({
    reader,
    service,
    toSeq,
    objects: objects.filter((object) => object.kind === 'Node' || belongsTo(object, service)),
    nodeName: 'node-a',
    config: DEFAULT_PROXY_CONFIG,
    configs: true,
    onNode: (state) => ({ ...state, node: state.node ?? nodeWithoutObject('node-a') }),
    limit: 1000,
    mostRecords,
  })
  return changes.map(({ flip: { record, before, after } }) => ({ seq: record.seq, before, after }))
}
