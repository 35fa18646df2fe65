import { documentHead, point } from './document-head.js'
import { flag, integer, listOf, objectOf, oneOf, optional, required, text, time } from './shape.js'

export const author = objectOf('Author', {
  manager: required(text, 'the field manager that made the change'),
  operation: required(text, '`Update` or `Apply`'),
  time: optional(time, 'when, by the API server; whole seconds'),
  subresource: optional(text, 'the subresource that the change came through'),
})

const failure = objectOf('Failure', {
  code: required(text, 'why, for a script'),
  message: required(text, 'why, for a person'),
})

/** An item of it: what `-o jsonl` prints. */
export const recordItemShape = objectOf('Record', {
  seq: required(integer, 'its position in the log'),
  time: required(time, 'when it was observed'),
  type: required(
    oneOf('object', 'bookmark', 'sync', 'config', 'notice'),
    'what it is; the fields below belong to some of these',
  ),
  event: optional(oneOf('ADDED', 'MODIFIED', 'DELETED'), 'object: what happened to it'),
  kind: optional(oneOf('Service', 'EndpointSlice', 'Node'), 'object, bookmark'),
  namespace: optional(text, 'object: absent for a Node'),
  name: optional(text, 'object'),
  uid: optional(text, 'object: absent in recordings of manifests'),
  resourceVersion: optional(text, 'object, bookmark'),
  estimated: optional(
    flag,
    'object, bookmark: true where the recording had no times, and `time` is the newest of managedFields',
  ),
  author: optional(author, 'object: absent where it is not known; the API does not say who deletes'),
  changes: optional(listOf(text), 'object: what changed, in phrases for people; the words may change'),
  patch: optional(
    { type: 'any' },
    'object, with --patch: the JSON merge patch (RFC 7396) from its version before, or the whole object',
  ),
  initialEventsEnd: optional(flag, 'bookmark: whether every object of the kind had been sent by then'),
  backend: optional(text, 'sync: the backend that ran'),
  fromSeq: optional(integer, 'sync: the first record whose effect it carried'),
  toSeq: optional(integer, 'sync: the last one'),
  full: optional(flag, 'sync: whether everything was rendered'),
  changed: optional(integer, 'sync: service ports handed to the backend'),
  durationMs: optional({ type: 'number' }, 'sync: how long it took'),
  rules: optional(integer, 'sync: rules in force after it; absent when it failed'),
  bytes: optional(integer, 'sync: bytes written; absent when it failed'),
  digest: optional(text, 'sync: of what is in force; absent when it failed'),
  error: optional(failure, 'sync: why it failed'),
  config: optional({ type: 'any' }, 'config: the effective configuration from here on'),
  code: optional(text, 'notice: what it is about, for a script'),
  message: optional(text, 'notice: what a reader has to know'),
  details: optional({ type: 'any' }, 'notice: the file and the line, and what else belongs to the code'),
})

/** What `pointsman log -o json` prints. */
export const recordList = objectOf('RecordList', {
  ...documentHead('RecordList'),
  at: required(point, 'the last record that was looked at'),
  items: required(listOf(recordItemShape), 'the records, newest first; with --reverse oldest first'),
})
