import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { churn } from '../../packages/core/src/testing/churn.js'
import { runPointsmanProcess } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'

test('a long recording is imported in the memory of a few batches', async () => {
  const folder = temporaryFolder()
  try {
    const lines = Array.from(churn({ services: 100, events: 15_000 }), (event) =>
      event.type === 'BOOKMARK'
        ? ''
        : `${JSON.stringify({ observedAt: new Date(event.observedAt).toISOString(), type: event.type, object: event.object })}\n`,
    )
    writeFileSync(folder.path('long.jsonl'), lines.join(''))
    const { status, stdout } = await runPointsmanProcess(
      ['import', folder.path('long.jsonl'), '--log', folder.path('log.db')],
      { env: { NODE_OPTIONS: '--max-old-space-size=64' } },
    )
    expect({ status, imported: stdout.split('\n')[0]?.slice(0, 22) }).toEqual({
      status: 0,
      imported: 'imported 15,201 events',
    })
  } finally {
    folder.remove()
  }
})
