import type { JsonObject, ObjectKind } from '../../model/kubernetes-object.js'
import type { LogEntry } from '../../model/record.js'

/** What a source has to tell beside the events, by the codes of its notices in the log. Each names its kind in `details`. */
export const SOURCE_NOTICE_CODES = {
  LIST_BEGUN: 'differences that a list brought to light follow; until LIST or RELIST the kind is between two moments',
  LIST: 'the first list of a kind is whole: how many objects, what they changed',
  RELIST: 'everything of a kind was listed again: why, and what had changed meanwhile',
  WATCH_LOST: 'a kind is not watched any more: why, and since which resourceVersion',
  WATCH_RESUMED: 'a kind is watched again: for how long it was not, after how many attempts, and what they met',
  OBJECT_UNREADABLE:
    "the server sent what is no object of the kind, or one that is too deep or too large: it is skipped, and the object's last version counts on",
} as const
export type SourceNoticeCode = keyof typeof SOURCE_NOTICE_CODES

export type Notice = Extract<LogEntry, { type: 'notice' }>

export const sourceNotice = (
  code: SourceNoticeCode,
  {
    kind,
    message,
    observedAt,
    details = {},
  }: {
    readonly kind: ObjectKind
    readonly message: string
    readonly observedAt: number
    readonly details?: JsonObject
  },
): Notice => ({ type: 'notice', code, message: `${kind}: ${message}`, observedAt, details: { kind, ...details } })
