import { documentHead, point } from './document-head.js'
import { flag, integer, listOf, objectOf, optional, required, text, time } from './shape.js'

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
