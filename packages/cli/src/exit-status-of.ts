import { ApiServerError, ChangeLogError, FileError } from '@pointsman/core/io'
import type { ApiServerErrorCode, ChangeLogErrorCode, FileErrorCode } from '@pointsman/core/io'
import { CliError, type ExitStatus } from './errors.js'

/** What the process ends with after a failure: 2 where the input is at fault, 3 where the world is, or we are. */
export function exitStatusOf(error: unknown): ExitStatus {
  if (error instanceof CliError) return error.exitStatus
  if (error instanceof ChangeLogError) return BAD_LOGS.has(error.code) ? 2 : 3
  if (error instanceof FileError) return FAULTS_OF_THE_WORLD.has(error.code) ? 3 : 2
  if (error instanceof ApiServerError) return BAD_KUBECONFIGS.has(error.code) ? 2 : 3
  return 3
}

const BAD_LOGS: ReadonlySet<ChangeLogErrorCode> = new Set<ChangeLogErrorCode>([
  'LOG_NOT_FOUND',
  'LOG_NOT_A_LOG',
  'LOG_TOO_NEW',
  'LOG_TOO_OLD',
  'LOG_OTHER_NODE',
  'LOG_NOT_PRIVATE',
  'LOG_PRUNED',
])

const FAULTS_OF_THE_WORLD: ReadonlySet<FileErrorCode> = new Set<FileErrorCode>(['CANNOT_WRITE'])

const BAD_KUBECONFIGS: ReadonlySet<ApiServerErrorCode> = new Set<ApiServerErrorCode>([
  'NO_CONFIGURATION',
  'KUBECONFIG_INVALID',
  'CONTEXT_NOT_FOUND',
])
