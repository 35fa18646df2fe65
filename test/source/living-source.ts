import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { asyncScheduler } from 'rxjs'
import { expect } from 'vitest'
import { NEEDED_KINDS } from '@pointsman/core'
import { connectApiServer, createKnownObjects, kubernetesSource } from '@pointsman/core/io'
import type { KubernetesObject, ObjectEvent, ObjectKind, SourceItem, WatchStatus } from '@pointsman/core'
import type { KubernetesSourceOptions, SourceLimits } from '@pointsman/core/io'
import type { TestApiServer } from '@pointsman/core/testing'

/** The real source over the real transport, and what its events come to: folded here by nobody's code but this file's. */
export interface LivingSource {
  readonly items: readonly SourceItem[]
  readonly folded: (kind: ObjectKind) => ReadonlyMap<string, KubernetesObject>
  /** What no source may say: an object moved back, added twice, deleted without having been. */
  readonly faults: readonly string[]
  /** Codes of the notices, `kind` each: `RELIST Service`. */
  readonly notices: () => readonly string[]
  readonly status: (kind: ObjectKind) => WatchStatus | undefined
  readonly resumePoints: () => NonNullable<KubernetesSourceOptions['resume']>
  readonly stop: () => Promise<void>
}

export interface SourceSettings {
  readonly resume?: KubernetesSourceOptions['resume']
  /** A source before this one, whose state is known. */
  readonly after?: LivingSource
  readonly limits?: Partial<SourceLimits>
  readonly pageSize?: number
  /**
   * Gives up at once what is silent: for servers that are. Otherwise a silence is waited out, so that a test means the same on
   * a machine that has much to do.
   */
  readonly impatient?: boolean
  /** Default 1. */
  readonly seed?: number
}

/** Pauses as short as a test can wait for. */
const SHORT: Partial<SourceLimits> = {
  backoff: { baseMs: 20, capMs: 200 },
  quickMs: 5,
  steadyMs: 100,
  settledMs: 50,
  heardEveryMs: 50,
}

export async function startSource(
  server: Pick<TestApiServer, 'kubeconfig'>,
  { resume, after, limits, pageSize = 500, seed = 1, impatient = false }: SourceSettings = {},
): Promise<LivingSource> {
  const directory = mkdtempSync(join(tmpdir(), 'pointsman-source-'))
  const kubeconfig = join(directory, 'kubeconfig')
  writeFileSync(kubeconfig, server.kubeconfig())
  const api = await connectApiServer({
    kubeconfig,
    otherwise: 'pod',
    env: {},
    userAgent: 'pointsman-test',
    now: () => performance.now(),
    timeouts: impatient ? { connectMs: 300, headMs: 300 } : { connectMs: 10_000, headMs: 10_000 },
  })
  const items: SourceItem[] = []
  const faults: string[] = []
  const folds = new Map<ObjectKind, Map<string, KubernetesObject>>(
    NEEDED_KINDS.map((kind) => [kind, new Map(after?.folded(kind))]),
  )
  const fold = (kind: ObjectKind): Map<string, KubernetesObject> =>
    folds.get(kind) ?? new Map<string, KubernetesObject>()
  const points: { [kind in ObjectKind]?: { readonly resourceVersion: string } } = { ...after?.resumePoints() }
  const known = createKnownObjects()
  for (const kind of NEEDED_KINDS) for (const object of fold(kind).values()) known.add(object)

  const take = (item: SourceItem): void => {
    items.push(item)
    if (item.type !== 'event') return
    const { event } = item
    if (event.type === 'BOOKMARK') points[event.kind] = { resourceVersion: event.resourceVersion }
    else takeObject(event)
  }
  const takeObject = (event: ObjectEvent): void => {
    const objects = fold(event.object.kind)
    const key = keyOf(event.object)
    faults.push(...faultsOf(event, objects.get(key)))
    if (event.type === 'DELETED') objects.delete(key)
    else objects.set(key, event.object)
  }

  const subscription = kubernetesSource({
    api,
    known,
    scheduler: asyncScheduler,
    random: seededRandom(seed),
    pageSize,
    limits: { ...SHORT, idleLimitMs: impatient ? 700 : 15_000, ...limits },
    ...(resume && { resume }),
  }).subscribe({
    next: take,
    error: (error: unknown) => faults.push(`the source failed: ${String(error)}`),
    complete: () => faults.push('the source ended'),
  })

  return {
    items,
    folded: fold,
    faults,
    notices: () =>
      items.flatMap((item) =>
        item.type === 'notice' ? [`${item.notice.code} ${String(item.notice.message.split(':')[0])}`] : [],
      ),
    status: (kind) =>
      items.flatMap((item) => (item.type === 'status' && item.status.kind === kind ? [item.status] : [])).at(-1),
    resumePoints: () => points,
    async stop() {
      subscription.unsubscribe()
      await api.close()
      rmSync(directory, { recursive: true })
    },
  }
}

/** Waits until the fold is what a proxy would see of the server's objects, and every kind is watched. */
export async function expectCaughtUp(server: TestApiServer, source: LivingSource): Promise<void> {
  await expectSameObjects(server, source)
  expect(source.faults).toEqual([])
}

/** As `expectCaughtUp`, where objects may move back. */
export async function expectSameObjects(server: TestApiServer, source: LivingSource): Promise<void> {
  await expect.poll(() => differences(server, source), { timeout: 20_000, interval: 10 }).toEqual([])
}

function differences(server: TestApiServer, source: LivingSource): readonly string[] {
  const objects = [
    ...server.objects('services').filter(isForProxies),
    ...server.objects('endpointslices').filter(isNotHeadless),
    ...server.objects('nodes'),
  ]
  const there = new Map(objects.map((object) => [`${object.kind} ${keyOf(object)}`, object]))
  const seen = NEEDED_KINDS.flatMap((kind) => [...source.folded(kind).values()])
  const unwatched = NEEDED_KINDS.filter((kind) => source.status(kind)?.phase !== 'watching').map(
    (kind) => `${kind}: ${source.status(kind)?.phase}`,
  )
  const wrong = seen.flatMap((object) => {
    const name = `${object.kind} ${keyOf(object)}`
    const real = there.get(name)
    there.delete(name)
    if (real === undefined) return [`${name} is not there`]
    return isDeepStrictEqual(comparable(object), comparable(real)) ? [] : [`${name} differs`]
  })
  return [...wrong, ...[...there.keys()].map((name) => `${name} is missing`), ...unwatched].slice(0, 10)
}

const labelsOf = ({ metadata }: KubernetesObject): object => (metadata['labels'] ?? {}) as object

/** The selectors of kube-proxy 1.36, in words of their own. */
const isForProxies = (object: KubernetesObject): boolean =>
  !('service.kubernetes.io/service-proxy-name' in labelsOf(object)) &&
  (object['spec'] as { readonly clusterIP?: string }).clusterIP !== 'None'

const isNotHeadless = (object: KubernetesObject): boolean => !('service.kubernetes.io/headless' in labelsOf(object))

/** Without what a source need not keep. */
function comparable(object: KubernetesObject): unknown {
  const { managedFields: _managedFields, ...metadata } = object.metadata
  return { ...object, metadata }
}

const keyOf = ({ metadata: { namespace = '', name } }: KubernetesObject): string => `${namespace}/${name}`

const versionOf = ({ metadata }: KubernetesObject): number => Number(metadata['resourceVersion'])

function faultsOf({ type, object }: ObjectEvent, before: KubernetesObject | undefined): readonly string[] {
  const name = `${type} ${object.kind} ${keyOf(object)} ${versionOf(object)}`
  if (before === undefined) return type === 'ADDED' ? [] : [`${name}: there was none`]
  const movedBack = versionOf(object) < versionOf(before) ? [`${name}: it was at ${versionOf(before)}`] : []
  return type === 'ADDED' ? [`${name}: it was there`, ...movedBack] : movedBack
}

/** A generator of numbers from 0 to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
