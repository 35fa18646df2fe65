// fold.mjs: how many events a second become state.
import { createStateFold } from '@pointsman/core'
import { churn } from '../packages/core/dist/testing/churn.js'

const events = [...churn({ services: 5000, events: 200_000 })]
const foldAll = (applyEvery) => () => {
  const fold = createStateFold({ nodeName: 'node-0' })
  events.forEach((event, i) => {
    fold.track(i + 1, event)
    if ((i + 1) % applyEvery === 0) fold.apply()
  })
  fold.apply()
}
const bare = () => {
  const map = new Map()
  for (const { object, kind } of events)
    map.set(object ? `${object.kind} ${object.metadata.namespace}/${object.metadata.name}` : kind, object)
}

console.log(
  JSON.stringify({
    once: perSecond(foldAll(Number.POSITIVE_INFINITY)),
    every100: perSecond(foldAll(100)),
    bare: perSecond(bare),
  }),
)

function perSecond(run) {
  run()
  const started = performance.now()
  run()
  return events.length / ((performance.now() - started) / 1000)
}
