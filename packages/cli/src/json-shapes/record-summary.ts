import { documentHead, point } from './document-head.js'
import { kindCounts } from './import-summary.js'
import { integer, objectOf, optional, required, text, time } from './shape.js'

/** What `pointsman record -o json` prints when it ends. */
export const recordSummary = objectOf('RecordSummary', {
  ...documentHead('RecordSummary'),
  at: required(point, 'the last record of the log'),
  log: required(text, 'the path of the log'),
  events: required(integer, 'events that are new in the log, bookmarks included'),
  kinds: required(kindCounts, 'the new events of objects'),
  firstAt: optional(time, 'the first new event; absent where there is none'),
  lastAt: optional(time, 'the last new event'),
})
