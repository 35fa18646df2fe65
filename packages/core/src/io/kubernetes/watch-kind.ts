import { concat, concatMap, type Observable } from 'rxjs'
import { assertNever } from '../../model/assert-never.js'
import type { SourceItem } from '../../ports/live-source.js'
import type { KindContext } from './kind-context.js'
import { afterStep, beginKind, type KindState, type Step, type StepEnd, stepOf } from './kind-machine.js'
import { listInPages, probe } from './list-in-pages.js'
import { type Next, stepByStep } from './step-by-step.js'
import type { StepPart } from './step-part.js'
import { listAsStream, watchFrom } from './watch-events.js'

/** Lists and watches one kind for as long as it is subscribed, whatever happens. Never completes, never fails. */
export function watchKind(
  context: KindContext,
  { resourceVersion, streams }: { readonly resourceVersion: string | undefined; readonly streams: boolean },
): Observable<SourceItem> {
  return stepByStep<KindState, SourceItem>(
    beginKind(resourceVersion, streams),
    (state) => takeStep(context, state),
    context.scheduler,
  )
}

function takeStep(context: KindContext, state: KindState): Observable<SourceItem | Next<KindState>> {
  const { report } = context
  return concat(report.connecting(), partsOf(context, stepOf(state))).pipe(
    concatMap((part) => (part.type === 'step-ended' ? conclude(context, state, part.end) : [part])),
  )
}

function partsOf(context: KindContext, step: Step): Observable<StepPart> {
  switch (step.type) {
    case 'watch':
      return watchFrom(context, step.resourceVersion)
    case 'list':
      return step.way === 'stream' ? listAsStream(context, step) : listInPages(context, step)
    case 'probe':
      return probe(context, step.resourceVersion)
    default:
      return assertNever(step)
  }
}

function conclude(
  { report, limits, random }: KindContext,
  before: KindState,
  end: StepEnd,
): readonly (SourceItem | Next<KindState>)[] {
  const { state, waitMs, lost } = afterStep(before, end, limits, random())
  const { resourceVersion } = state
  const told =
    lost === undefined ? [] : report.lost(lost, { waitMs, ...(resourceVersion !== undefined && { resourceVersion }) })
  return [...told, { type: 'next', state, waitMs }]
}
