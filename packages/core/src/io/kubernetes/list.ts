import { concatMap, EMPTY, expand, Observable, takeWhile, type OperatorFunction } from 'rxjs'
import { isJsonObject, jsonContradicts } from '../../model/json-value.js'
import { keepObject } from '../../model/keep-object.js'
import { isOlderVersion, type Json, type KubernetesObject, type ObjectKind } from '../../model/kubernetes-object.js'
import { assertNever } from '../../model/language.js'
import type { SourceItem } from '../../ports/api-server.js'
import { limitSilence, parseJson, readAnswer, readObject, type AnswerPart, type Unreadable } from './answer.js'
import { checkRequest, pageRequest } from './api-requests.js'
import { stepEnded, type KindContext, type StepPart } from './kind-machine.js'
import { createListDifferences, keyOf, versionOf, type Difference, type ListDifferences } from './known-objects.js'
import { failureOf, failureOfEnding, type Ending, type Failure } from './watch-failure.js'
import { sourceNotice } from './watch-outage.js'

/** A list under way, as items: its differences as they come to light; at its end what it was about. */
export interface Listing {
  see(object: KubernetesObject): readonly SourceItem[]
  gone(deletion: Difference): readonly SourceItem[]
  /** An object that is there, and cannot be read. */
  spare(object: KubernetesObject): void
  finish(resourceVersion: string): readonly SourceItem[]
  /** Whether objects were listed in older versions than were known: only once it is finished. */
  wentBack(): boolean
  /** In what the list goes beyond its limits; undefined: in nothing. */
  excess(): string | undefined
}

export interface WantedList {
  readonly atLeast?: string
  /** FIRST, PERIODIC, or the code of the failure that made it necessary. */
  readonly because: string
  /** The history was replaced: what is listed counts, known or not. */
  readonly everything: boolean
}

export function createListing(
  { watched, known, scheduler, limits }: KindContext,
  { because, way, everything }: Omit<WantedList, 'atLeast'> & { readonly way: 'stream' | 'pages' },
): Listing {
  const { kind } = watched
  const startedAt = scheduler.now()
  let begun = false
  let made: ListDifferences | undefined
  // Not before the server answers: while it is away nobody has to go through all that is known.
  const differences = (): ListDifferences => (made ??= createListDifferences(known, { everything }))

  const itemsOf = (found: readonly Difference[]): readonly SourceItem[] => {
    if (found.length === 0) return []
    const observedAt = scheduler.now()
    const items: SourceItem[] = found.map((difference) => ({
      type: 'event',
      event: { ...difference, observedAt, isNews: true },
    }))
    if (begun) return items
    begun = true
    // Whoever reads the log has to know that the positions of these events are none to go on from.
    const message = `the changes found by the list follow (${because})`
    return [{ type: 'notice', notice: sourceNotice('LIST_BEGUN', { kind, message, observedAt }) }, ...items]
  }

  return {
    see: (object) => itemsOf(differences().see(object)),
    gone: (deletion) => itemsOf(differences().gone(deletion)),
    excess() {
      const objects = made === undefined ? 0 : Math.max(made.counts.listed, known.size)
      if (objects > limits.maxObjects) return `more than ${limits.maxObjects} objects`
      const tookMs = scheduler.now() - startedAt
      return tookMs > limits.listMs ? `incomplete after ${Math.round(tookMs / 1000)} s` : undefined
    },
    wentBack: () => (made?.counts.wentBack ?? 0) > 0,
    spare: (object) => differences().spare(object),
    finish(resourceVersion) {
      const items = itemsOf(differences().finish())
      const observedAt = scheduler.now()
      const { listed, added, modified, deleted, replaced } = differences().counts
      const counts = `${listed} listed: ${added} added, ${modified} modified, ${replaced} replaced, ${deleted} deleted`
      const details = {
        because,
        way,
        resourceVersion,
        listed,
        added,
        modified,
        replaced,
        deleted,
        durationMs: observedAt - startedAt,
      }
      const code = because === 'FIRST' ? 'LIST' : 'RELIST'
      return [
        ...items,
        {
          type: 'notice',
          notice: sourceNotice(code, { kind, message: `${counts} (${because})`, observedAt, details }),
        },
        {
          type: 'event',
          event: { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd: true, observedAt, isNews: true },
        },
      ]
    },
  }
}

/** Lists a kind page by page; no more than one page is in memory. */
export function listInPages(context: KindContext, { atLeast, because, everything }: WantedList): Observable<StepPart> {
  const { watched, report, scheduler, limits } = context
  const listing = createListing(context, { because, way: 'pages', everything })
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
      at: scheduler.now(),
      wentBack: listing.wentBack(),
      listed: failure === undefined,
      ...(openedAt !== undefined && { livedMs: scheduler.now() - openedAt }),
      heard: resourceVersion !== undefined,
      ...(failure === undefined ? { ...(resourceVersion !== undefined && { resourceVersion }) } : { failure }),
    })

  const takePage = (page: Page): readonly StepPart[] => {
    if (atLeast !== undefined && isOlderVersion(page.resourceVersion, atLeast)) return [end(staleList(page, atLeast))]
    resourceVersion ??= page.resourceVersion
    for (const { bare } of page.unreadable) if (bare !== undefined) listing.spare(bare)
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

/**
 * Asks whether the server has the history that led to what is known at a resourceVersion: whether it had the last change then. Where
 * it remembers that no more, whether it has that change now; if that may have been overtaken, only a list can say.
 */
export function checkHistory(context: KindContext, resourceVersion: string): Observable<StepPart> {
  const { watched, known, scheduler } = context
  // Of a Node versions are known that the log has not: heartbeats.
  const latest = watched.kind === 'Node' ? undefined : known.latest()
  const about = latest === undefined ? undefined : placeOf(latest.object)
  const end = (failure?: Failure): StepPart =>
    stepEnded({ at: scheduler.now(), listed: false, heard: false, ...(failure && { failure }) })
  const failureIn = (part: Exclude<PagePart, { type: 'opened' | 'page' }>): Failure | undefined =>
    part.type === 'ended'
      ? failureOfEnding(part.ending, 'check', scheduler.now())
      : failureOf('GARBLED', { detail: part.cause })
  const restored = (detail: string): Failure => failureOf('RESTORED', { remedy: 'relist-all', detail })

  const then = (page: Page): Failure | undefined => {
    if (isOlderVersion(page.resourceVersion, resourceVersion)) return staleList(page, resourceVersion)
    if (latest === undefined || isShownBy(latest, page)) return undefined
    return restored(`${nameOf(latest)} was another at resourceVersion ${resourceVersion}`)
  }
  const now = (page: Page): Failure | undefined => {
    if (isOlderVersion(page.resourceVersion, resourceVersion)) return staleList(page, resourceVersion)
    if (latest === undefined || isShownBy(latest, page)) return undefined
    const [found] = page.objects
    const version = found === undefined ? undefined : versionOf(found).resourceVersion
    if (version !== undefined && !isOlderVersion(resourceVersion, version))
      return restored(`${nameOf(latest)} has resourceVersion ${version}`)
    return failureOf('EXPIRED', { remedy: 'relist', detail: `${nameOf(latest)} has changed since` })
  }

  const askNow = (): Observable<StepPart> =>
    askForPage(context, checkRequest(watched, about)).pipe(
      concatMap((part) => {
        if (part.type === 'opened') return []
        return [end(part.type === 'page' ? now(part) : failureIn(part))]
      }),
    )

  // A page of a list may be newer than the list says.
  const isBeyond = latest !== undefined && isOlderVersion(resourceVersion, versionOf(latest.object).resourceVersion)
  if (isBeyond) return askNow()
  return askForPage(context, checkRequest(watched, about, resourceVersion)).pipe(
    concatMap((part) => {
      if (part.type === 'opened') return []
      if (part.type === 'page') return [end(then(part))]
      const failure = failureIn(part)
      if (failure?.code === 'EXPIRED') return askNow()
      // A server that cannot answer this is asked for the watch.
      return [end(failure?.code === 'REFUSED' ? undefined : failure)]
    }),
  )
}

const placeOf = ({ metadata: { namespace = '', name } }: KubernetesObject) => ({ namespace, name })
const nameOf = ({ object }: Difference): string => `${object.kind} ${keyOf(object).replace(/^\//, '')}`

/** Whether an answer about an object is what a change of it left. */
function isShownBy({ type, object, isBare }: Difference, { objects, unreadable }: Page): boolean {
  const { uid, resourceVersion } = versionOf(object)
  const found = objects.find((one) => keyOf(one) === keyOf(object))
  if (type === 'DELETED') return found === undefined || versionOf(found).uid !== uid
  // What cannot be read is compared by nobody.
  if (found === undefined) return unreadable.length > 0
  const is = versionOf(found)
  if (is.uid !== uid || is.resourceVersion !== resourceVersion) return false
  // Of API servers of two versions behind one address, one adds defaults that the other does not know.
  return isBare === true || !jsonContradicts(keepObject(found), keepObject(object))
}

const SAME_TOKEN = 'the same continue token twice'

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
  failureOf('TOO_NEW', {
    remedy: 'wait-for-newer',
    detail: `list at resourceVersion ${resourceVersion}, expected at least ${atLeast}`,
  })

interface Page {
  readonly type: 'page'
  readonly objects: readonly KubernetesObject[]
  /** What stood among the items and is none, or not to be used. */
  readonly unreadable: readonly Unreadable[]
  readonly resourceVersion: string
  /** Where the next page begins; absent: this is the last. */
  readonly continueToken?: string
}

type PageRead = Page | { readonly type: 'garbled'; readonly cause: string }

/** Reads a page of a list of a kind. Never throws. */
export function readPage(bytes: Uint8Array, kind: ObjectKind): PageRead {
  const parsed = parseJson(bytes)
  if ('cause' in parsed) return { type: 'garbled', cause: parsed.cause }
  const { value } = parsed
  if (!isJsonObject(value) || value['kind'] !== `${kind}List`) return { type: 'garbled', cause: `no ${kind}List` }
  const { metadata, items, apiVersion } = value
  const { resourceVersion, continue: token } = isJsonObject(metadata) ? metadata : {}
  // A list that says nothing of where it stands cannot be followed by a watch, and one without items is no empty list.
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    return { type: 'garbled', cause: `a ${kind}List without a resourceVersion` }
  if (items != null && !Array.isArray(items)) return { type: 'garbled', cause: `a ${kind}List without items` }
  const reads = (items ?? []).map((item: Json) => readObject(withType(item, kind, apiVersion), kind))
  return {
    type: 'page',
    objects: reads.flatMap((read) => (read.type === 'object' ? [read.object] : [])),
    unreadable: reads.flatMap((read) => (read.type === 'unreadable' ? [read] : [])),
    resourceVersion,
    ...(typeof token === 'string' && token !== '' && { continueToken: token }),
  }
}

/** The items of a list do not say what they are: the list does. */
function withType(item: Json, kind: ObjectKind, apiVersion: Json | undefined): Json {
  return isJsonObject(item) && item['kind'] === undefined ? { apiVersion, ...item, kind } : item
}

type PagePart =
  | { readonly type: 'opened' }
  | PageRead
  /** The answer was no page. */
  | { readonly type: 'ended'; readonly ending: Exclude<Ending, { type: 'closed' }> }

/** Reads an answer as a page of a list, in one piece. */
export function toPage(kind: ObjectKind, maxBytes: number): OperatorFunction<AnswerPart, PagePart> {
  return (source) =>
    new Observable<PagePart>((subscriber) => {
      let parts: Uint8Array[] = []
      let length = 0
      const last = (part: PagePart): void => {
        subscriber.next(part)
        subscriber.complete()
      }
      const take = (bytes: Uint8Array): void => {
        parts.push(bytes)
        length += bytes.length
        if (length <= maxBytes) return
        parts = []
        last({ type: 'ended', ending: { type: 'too-long', limitBytes: maxBytes } })
      }
      return source.subscribe({
        next: (part) => {
          switch (part.type) {
            case 'opened':
              return subscriber.next(part)
            case 'bytes':
              return take(part.bytes)
            case 'ended':
              return last(
                part.ending.type === 'closed'
                  ? readPage(Buffer.concat(parts), kind)
                  : { type: 'ended', ending: part.ending },
              )
            default:
              return assertNever(part)
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      })
    })
}
