import { concatMap, EMPTY, expand, type Observable, takeWhile } from 'rxjs'
import { assertNever } from '../../model/assert-never.js'
import { isOlderVersion } from '../../model/resource-version.js'
import { pageRequest, probeRequest } from './api-requests.js'
import { failureOfEnding } from './classify-failure.js'
import type { KindContext } from './kind-context.js'
import { createListing } from './listing.js'
import { limitSilence } from './limit-silence.js'
import { readAnswer } from './read-answer.js'
import type { Page } from './read-page.js'
import { versionOf } from './recent-objects.js'
import { stepEnded, type StepPart } from './step-part.js'
import { type PagePart, toPage } from './to-page.js'
import { type Failure, failureOf } from './watch-failure.js'

/** Lists a kind page by page; no more than one page is in memory. */
export function listInPages(
  context: KindContext,
  { atLeast, because }: { readonly atLeast?: string; readonly because: string },
): Observable<StepPart> {
  const { watched, report, scheduler, limits } = context
  const listing = createListing(context, { because, way: 'pages' })
  let openedAt: number | undefined
  // Of all pages: what is newer in a later one comes again with the watch, and is known by then.
  let resourceVersion: string | undefined
  let lastToken: string | undefined

  const fetch = (continueToken?: string): Observable<PagePart> =>
    askForPage(
      context,
      pageRequest(watched, {
        pageSize: limits.pageSize,
        ...(atLeast !== undefined && { atLeast }),
        ...(continueToken !== undefined && { continueToken }),
      }),
    )

  const end = (failure?: Failure): StepPart =>
    stepEnded({
      listed: failure === undefined,
      ...(openedAt !== undefined && { livedMs: scheduler.now() - openedAt }),
      heard: resourceVersion !== undefined,
      ...(failure === undefined ? { ...(resourceVersion !== undefined && { resourceVersion }) } : { failure }),
    })

  const takePage = (page: Page): readonly StepPart[] => {
    if (atLeast !== undefined && isOlderVersion(page.resourceVersion, atLeast)) return [end(staleList(page, atLeast))]
    resourceVersion ??= page.resourceVersion
    for (const { bare } of page.unreadable) if (bare !== undefined) listing.spare(versionOf(bare))
    const items: readonly StepPart[] = [
      ...report.heard('listing'),
      ...page.unreadable.flatMap(({ message }) => report.unreadable(message)),
      ...page.objects.flatMap((object) => listing.see(object)),
    ]
    if (page.continueToken === undefined) return [...items, ...listing.finish(resourceVersion), end()]
    const excess = listing.excess()
    if (excess !== undefined) return [...items, end(failureOf('LIST_TOO_LONG', { detail: excess }))]
    if (page.continueToken === lastToken) return [...items, end(failureOf('GARBLED', { detail: SAME_TOKEN }))]
    lastToken = page.continueToken
    return items
  }

  const take = (part: PagePart): readonly StepPart[] => {
    switch (part.type) {
      case 'opened': {
        const isFirst = openedAt === undefined
        openedAt ??= scheduler.now()
        return isFirst ? report.opened('listing') : []
      }
      case 'page':
        return takePage(part)
      case 'garbled':
        return [end(failureOf('GARBLED', { detail: part.cause }))]
      case 'ended':
        return [end(failureOfEnding(part.ending, 'page', scheduler.now()))]
      default:
        return assertNever(part)
    }
  }

  return fetch().pipe(
    expand((part) => (part.type === 'page' && part.continueToken !== undefined ? fetch(part.continueToken) : EMPTY)),
    concatMap(take),
    takeWhile((part) => part.type !== 'step-ended', true),
  )
}

/** Asks whether the server is as far as a resourceVersion. */
export function probe(context: KindContext, resourceVersion: string): Observable<StepPart> {
  const { watched, scheduler } = context
  const failureIn = (part: Exclude<PagePart, { type: 'opened' }>): Failure | undefined => {
    if (part.type === 'ended') return failureOfEnding(part.ending, 'page', scheduler.now())
    if (part.type === 'garbled') return failureOf('GARBLED', { detail: part.cause })
    return isOlderVersion(part.resourceVersion, resourceVersion) ? staleList(part, resourceVersion) : undefined
  }
  return askForPage(context, probeRequest(watched, resourceVersion)).pipe(
    concatMap((part) => {
      if (part.type === 'opened') return []
      const failure = failureIn(part)
      return [stepEnded({ listed: false, heard: false, ...(failure && { failure }) })]
    }),
  )
}

const SAME_TOKEN = 'a page goes on where it began: the same continue token twice'

const askForPage = (
  { api, scheduler, limits, watched }: KindContext,
  request: ReturnType<typeof pageRequest>,
): Observable<PagePart> =>
  readAnswer(api, request, { idleLimitMs: limits.idleLimitMs, scheduler }).pipe(
    toPage(watched.kind, limits.maxPageBytes),
    limitSilence(
      () => limits.pageMs,
      (afterMs): PagePart => ({ type: 'ended', ending: { type: 'silent', afterMs } }),
      scheduler,
    ),
  )

const staleList = ({ resourceVersion }: Page, atLeast: string): Failure =>
  failureOf('TOO_NEW', { remedy: 'wait-for-newer', detail: `a list of ${resourceVersion}, and ${atLeast} is known` })
