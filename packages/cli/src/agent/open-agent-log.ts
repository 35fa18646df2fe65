import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { ChangeLogError, openThreadedChangeLogWriter } from '@pointsman/core/io'
import { type AgentLogWriter, createLateWriter } from './late-writer.js'
import type { AgentStart } from './start-from-log.js'

export interface AgentLogOptions {
  readonly log: string
  readonly nodeName: string
  readonly bootId?: string | undefined
}

/**
 * The log that an agent writes. One that cannot be opened now is opened when it can be; one that another process writes is
 * an error, LOG_LOCKED: two agents on one node would undo each other's work.
 */
export async function openAgentLog(
  { log: file, nodeName, bootId }: AgentLogOptions,
  start: Pick<AgentStart, 'head' | 'lastObservedAt'>,
  onWarning: (message: string) => void,
): Promise<AgentLogWriter> {
  const open = async (): Promise<AgentLogWriter> => {
    makeFolder(dirname(file))
    return openThreadedChangeLogWriter(file, {
      durability: 'normal',
      node: nodeName,
      ...(bootId !== undefined && { bootId }),
    })
  }
  const writer = createLateWriter({ open, ...start })
  try {
    await writer.append([])
  } catch (error) {
    if (!(error instanceof ChangeLogError) || error.code === 'LOG_LOCKED') throw error
    onWarning(`the log is not written, and rules do not wait for it: ${error.message}`)
  }
  return writer
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch {
    // Opening the log says what is wrong, in its own words.
  }
}
