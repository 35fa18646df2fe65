import { DATAPLANES } from '../../dataplanes.js'
import {
  documentHead,
  type DocumentJson,
  flag,
  integer,
  listOf,
  objectOf,
  oneOfNames,
  optional,
  point,
  refusedServicePort,
  required,
  text,
} from '../../output/schema.js'
import { replayBackends } from './command.js'

const lastSync = objectOf('Sync', {
  fromSeq: required(integer, 'the first record that it carried, as numbered in the log that was recorded to, if any'),
  toSeq: required(integer, 'the last record that it carried'),
  full: required(flag, 'whether everything was written, or only a difference'),
  rules: required(integer, 'rules in force after it'),
  digest: required(text, 'of what is in force after it: equal states and configurations give equal digests'),
})

/** What `pointsman replay -o json` prints: the same for the same log and settings, whatever the speed. */
export const replaySummary = objectOf('ReplaySummary', {
  ...documentHead('ReplaySummary'),
  at: required(point, 'the last record that was played'),
  log: required(text, 'the path of the log'),
  backend: required(oneOfNames(...replayBackends({ dataplanes: DATAPLANES })), 'where the syncs went'),
  events: required(integer, 'watch events that were played'),
  syncs: required(integer, 'runs of the backend that succeeded'),
  failures: required(integer, 'runs that failed'),
  servicePorts: required(integer, 'service ports in the last state'),
  spanMs: required(integer, "from the first to the last event, in the recording's time"),
  last: optional(lastSync, 'the last sync that succeeded'),
  refused: optional(
    listOf(refusedServicePort),
    'service ports that kept their previous rules in that sync; absent where none did',
  ),
  recordedTo: optional(text, 'the log that keeps the events and syncs'),
})
export type ReplaySummaryJson = DocumentJson<typeof replaySummary>
