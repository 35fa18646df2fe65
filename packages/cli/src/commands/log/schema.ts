import {
  documentHead,
  anything,
  author,
  flag,
  integer,
  listOf,
  number,
  objectOf,
  oneOf,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'

const failure = objectOf('Failure', {
  code: required(text, 'why, for a script'),
  message: required(text, 'why, for a person'),
})

/** An item of it: what `-o jsonl` prints. */
export const recordItem = objectOf('Record', {
  seq: required(integer, 'its position in the log'),
  time: required(time, 'when it was observed'),
  type: required(
    oneOf('object', 'bookmark', 'sync', 'config', 'notice'),
    'what it is; the fields below belong to some of these',
  ),
  event: optional(oneOf('ADDED', 'MODIFIED', 'DELETED'), 'object: what happened to it'),
  kind: optional(oneOf('Service', 'EndpointSlice', 'Node', 'ServiceCIDR'), 'object, bookmark'),
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
    anything,
    'object, with --patch: the JSON merge patch (RFC 7396) from its version before, or the whole object',
  ),
  initialEventsEnd: optional(flag, 'bookmark: whether every object of the kind had been sent by then'),
  backend: optional(text, 'sync: the backend that ran'),
  fromSeq: optional(integer, 'sync: the first record whose effect it carried'),
  toSeq: optional(integer, 'sync: the last one'),
  full: optional(flag, 'sync: whether everything was rendered'),
  changed: optional(integer, 'sync: service ports handed to the backend'),
  durationMs: optional(number, 'sync: how long it took'),
  rules: optional(integer, 'sync: rules in force after it; absent when it failed'),
  bytes: optional(integer, 'sync: bytes written; absent when it failed'),
  digest: optional(text, 'sync: of what is in force; absent when it failed'),
  mark: optional(
    text,
    'sync: changes whenever the rules of the kernel do; absent where it is not known that nobody else has changed them',
  ),
  refused: optional(
    integer,
    'sync: service ports that kept their previous rules, because theirs were refused; absent where none were',
  ),
  error: optional(failure, 'sync: why it failed'),
  config: optional(anything, 'config: the effective configuration from here on'),
  code: optional(text, 'notice: what it is about, for a script'),
  message: optional(text, 'notice: what a reader has to know'),
  details: optional(anything, 'notice: the file and the line, and what else belongs to the code'),
})
export type RecordJson = Json<typeof recordItem>

/** What `pointsman log -o json` prints. */
export const recordList = objectOf('RecordList', {
  ...documentHead('RecordList'),
  at: required(point, 'the last record that was looked at'),
  items: required(listOf(recordItem), 'the records, newest first; with --reverse oldest first'),
})
export type RecordListJson = DocumentJson<typeof recordList>
const counts = objectOf('Counts', {
  object: required(integer, 'changes of objects'),
  bookmark: required(integer, 'bookmarks'),
  sync: required(integer, 'syncs, failed ones included'),
  config: required(integer, 'configurations'),
  notice: required(integer, 'notices'),
})

const kinds = objectOf('Kinds', {
  Service: required(integer, 'changes of Services'),
  EndpointSlice: required(integer, 'changes of EndpointSlices'),
  Node: required(integer, 'changes of Nodes'),
  ServiceCIDR: required(integer, 'changes of ServiceCIDRs'),
})

const applied = objectOf('Applied', {
  backend: required(text, 'the name of the backend'),
  seq: required(integer, 'the last record whose effect its last successful sync carried'),
  at: required(time, 'when that sync ended'),
})

/** What `pointsman log info -o json` prints. */
export const logInfo = objectOf('LogInfo', {
  ...documentHead('LogInfo'),
  at: required(point, 'the last record'),
  log: required(text, 'the path of the log'),
  schemaVersion: required(integer, 'the version of its format'),
  clusterId: optional(text, 'the uid of the Service default/kubernetes; absent while it was not seen'),
  nodeName: optional(text, 'the node whose agent writes it'),
  bootId: optional(text, "the boot of the writer's machine"),
  firstSeq: required(integer, 'the first record that it holds'),
  lastSeq: required(integer, 'the last one'),
  firstAt: optional(time, 'when the first was observed; absent in an empty log'),
  lastAt: optional(time, 'when the last was observed'),
  counts: required(counts, 'records by type'),
  kinds: required(kinds, 'changes of objects by kind'),
  snapshots: required(integer, 'snapshots in it'),
  bytes: required(integer, 'its size on disk'),
  applied: required(listOf(applied), 'the last successful sync of each backend'),
  pruned: required(flag, 'whether records before `firstSeq` were pruned'),
})
export type LogInfoJson = DocumentJson<typeof logInfo>
