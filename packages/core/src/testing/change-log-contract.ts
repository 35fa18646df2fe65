import { afterEach, describe } from 'vitest'
import { appendingContract } from './change-log-appending.js'
import { findingContract } from './change-log-finding.js'
import { objectsContract } from './change-log-objects.js'
import { readingContract } from './change-log-reading.js'
import type { ChangeLogUnderTest, OpenChangeLog } from './change-log-samples.js'

export interface ChangeLogContract {
  readonly name: string
  readonly open: OpenChangeLog
  /** Parts that this log cannot be held to, each with the reason: they are no tests of it. */
  readonly skips?: { readonly [part in 'reopen']?: string }
}

/** What `ports/change-log.ts` promises, as tests that every change log passes. */
export function changeLogContract({ name, open, skips = {} }: ChangeLogContract): void {
  describe(`${name} keeps the contract of a change log`, () => {
    const opened: ChangeLogUnderTest[] = []
    const fresh = async (): Promise<ChangeLogUnderTest> => {
      const under = await open({ snapshotEvery: 3 })
      opened.push(under)
      return under
    }
    afterEach(async () => {
      for (const under of opened.splice(0)) await under.remove()
    })

    appendingContract({ fresh, open })
    objectsContract({ fresh, open })
    readingContract({ fresh, open, canReopen: skips.reopen === undefined })
    findingContract({ fresh, open })
  })
}
