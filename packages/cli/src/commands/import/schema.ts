import {
  documentHead,
  flag,
  integer,
  listOf,
  mapOf,
  objectOf,
  oneOfNames,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
} from '../../output/schema.js'

const problem = objectOf('Problem', {
  file: required(text, 'the file, as it was given'),
  line: required(integer, 'the line, from 1'),
  code: required(
    oneOfNames('BAD_LINE', 'RECORD_TOO_OLD', 'OTHER_CLUSTER', 'OTHER_NODE', 'LOG_UNUSABLE'),
    'why, for a script',
  ),
  message: required(text, 'why, for a person'),
})

/** Events of objects, by kind. */
export const kindCounts = objectOf('Kinds', {
  Service: required(integer, 'events of Services'),
  EndpointSlice: required(integer, 'events of EndpointSlices'),
  Node: required(integer, 'events of Nodes'),
})

/** What `pointsman import -o json` prints. */
export const importSummary = objectOf('ImportSummary', {
  ...documentHead('ImportSummary'),
  at: required(point, 'the last record of the log after the import'),
  log: required(text, 'the path of the log'),
  events: required(integer, 'events that are new in the log, bookmarks included'),
  kinds: required(kindCounts, 'the new events of objects'),
  bookmarks: required(integer, 'the new bookmarks'),
  duplicates: required(integer, 'events that the log had already'),
  estimated: required(integer, 'events without a time of their own, new or not'),
  passedOver: required(mapOf(integer), 'events of kinds that no service proxy reads'),
  watchErrors: required(integer, 'errors that ended a watch, kept as notices'),
  badLines: required(integer, 'lines that are no events, kept as notices'),
  refused: required(integer, 'events that the log did not take'),
  problems: required(listOf(problem), 'the first hundred of `badLines` and `refused`'),
  firstAt: optional(time, 'the first event of the recording; absent where it has none'),
  lastAt: optional(time, 'the last event of the recording'),
  interrupted: required(flag, 'whether it was ended before the recording was'),
})
export type ImportSummaryJson = DocumentJson<typeof importSummary>
