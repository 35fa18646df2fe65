export { openChangeLog, openChangeLogWriter, type SqliteChangeLog, type WriterOptions } from './sqlite/change-log.js'
export {
  openThreadedChangeLogWriter,
  type ThreadedChangeLogWriter,
  type ThreadedWriterOptions,
} from './sqlite/threaded-writer.js'

export { CHANGE_LOG_ERRORS, ChangeLogError, type ChangeLogErrorCode } from '../ports/change-log.js'
export { refuseOthersLog, whoElseCanWrite } from './sqlite/private-files.js'
export type { Durability } from './sqlite/open-database.js'
export type { PruneOptions, PruneResult } from './sqlite/prune.js'
export { conntrackCommands, type ConntrackCommandsOptions, type RunConntrack } from './conntrack/conntrack-commands.js'
export { conntrackNetlink, type NetlinkConntrack } from './conntrack/conntrack-netlink.js'
export { FILE_ERRORS, FileError, type FileErrorCode } from './files/read-file.js'
export { type ConfigDocument, readConfigDocument, writeConfigDocument } from './files/config-file.js'
export { type FoundText, findTexts } from './files/read-tree.js'
export { type ForeignText, foreignTextHint, foreignTextOf } from './files/foreign-text.js'
export type { PodObject } from './files/newest-versions.js'
export { readObjects, type ObjectsRead } from './files/read-objects.js'
export { readRecording, type Recording } from './files/read-recording.js'
export type { Place, RecordingItem } from './files/recording-file.js'
export {
  guardCluster,
  kubernetesSource,
  type KubernetesSourceOptions,
  type SourceLimits,
  resumePoints,
  type ResumePoints,
} from './kubernetes/kubernetes-source.js'

export { createKnownObjects, type KnownObject, type KnownObjects } from './kubernetes/known-objects.js'
export { SOURCE_NOTICE_CODES, type SourceNoticeCode } from './kubernetes/watch-outage.js'
export { WATCH_ERRORS, type WatchErrorCode } from './kubernetes/watch-failure.js'
export { readText } from './files/read-file.js'
export { openLinesFile, type LinesFile } from './files/write-lines.js'
export { API_SERVER_ERRORS, ApiServerError, type ApiServerErrorCode } from './kubernetes/server/server-settings.js'
export { connectApiServer, type ConnectOptions, type RequestReport } from './kubernetes/server/connect-api-server.js'
export { type SlicesServed, withOlderSlices } from './kubernetes/older-slices.js'
