import { record, type Recorded, type Recorder, type SourceItem, type WatchStatus } from '@pointsman/core'
import { filter, map, type Observable, tap } from 'rxjs'

type SourceNotice = Extract<SourceItem, { type: 'notice' }>['notice']

export interface RecordedEventsOptions {
  readonly source: Observable<SourceItem>
  readonly recorder: Recorder
  readonly onStatus: (status: WatchStatus) => void
  /** Told of each notice, which is in the log by then or on its way. */
  readonly onNotice?: (notice: SourceNotice) => void
}

/** What a live source says, written to the log in its order; the events of it, as they may have their effect. */
export function recordedEvents({ source, recorder, onStatus, onNotice }: RecordedEventsOptions): Observable<Recorded> {
  return source.pipe(
    tap((item) => {
      if (item.type === 'notice') {
        recorder.put(item.notice)
        onNotice?.(item.notice)
      } else if (item.type === 'status') onStatus(item.status)
    }),
    filter((item) => item.type === 'event'),
    map(({ event }) => event),
    record(recorder),
  )
}
