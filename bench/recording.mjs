// recording.mjs FILE EVENTS [OPTIONS]: writes a recording of a busy cluster, and answers its lines and bytes. OPTIONS: of churn, as JSON.
import { closeSync, openSync, writeSync } from 'node:fs'
import { churn } from '../packages/core/dist/testing/churn.js'

const [file, events, options = '{}'] = process.argv.slice(2)
const out = openSync(file, 'w')
let lines = 0
let bytes = 0
let chunk = ''
for (const event of churn({ services: 5000, ...JSON.parse(options), events: Number(events) })) {
  chunk += `${JSON.stringify(lineOf(event))}\n`
  lines++
  if (chunk.length > 1 << 20) flush()
}
flush()
closeSync(out)
console.log(JSON.stringify({ lines, bytes }))

function flush() {
  bytes += writeSync(out, chunk)
  chunk = ''
}

function lineOf(event) {
  const observedAt = new Date(event.observedAt).toISOString()
  if (event.type !== 'BOOKMARK') return { observedAt, type: event.type, object: event.object }
  const annotations = event.initialEventsEnd ? { 'k8s.io/initial-events-end': 'true' } : {}
  return {
    observedAt,
    type: 'BOOKMARK',
    object: { kind: event.kind, metadata: { resourceVersion: event.resourceVersion, annotations } },
  }
}
