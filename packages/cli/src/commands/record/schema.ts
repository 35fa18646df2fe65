import { kindCounts } from '../import/schema.js'
import {
  documentHead,
  integer,
  objectOf,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
} from '../../output/schema.js'

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
export type RecordSummaryJson = DocumentJson<typeof recordSummary>
