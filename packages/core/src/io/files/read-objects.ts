import { isJsonObject } from '../../model/json-value.js'
import { excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import {
  compareResourceVersions,
  type JsonObject,
  type KubernetesObject,
  OBJECT_KINDS,
} from '../../model/kubernetes-object.js'
import { excessOf } from '../../model/object-bounds.js'
import { printable } from '../../model/shown-text.js'
import { asCurrentVersion, isOldSlice } from '../../model/slice-v1beta1.js'
import { FileError, readText } from './read-file.js'
import { foreignTextHint } from './foreign-text.js'
import { kindOf, labelOf } from './parse-watch-event.js'
import { parseDocuments } from './parse-documents.js'

/** A Pod as the API serves it. Only its name is checked; every other field may be absent or of a wrong type. */
export interface PodObject extends JsonObject {
  readonly kind: 'Pod'
  readonly metadata: JsonObject & { readonly name: string; readonly namespace: string }
}

export interface ObjectsRead {
  /**
   * As the log would keep them, in the order in which they stand; a Service or slice without a namespace is in `default`. Each
   * is there once: the newest version.
   */
  readonly objects: readonly KubernetesObject[]
  /** The Pods, which no proxy reads. */
  readonly pods: readonly PodObject[]
  /** How many of each other kind were passed over. */
  readonly passedOver: ReadonlyMap<string, number>
  /** What could not be used, and which version was: `FILE: the Service has no metadata.name`. */
  readonly problems: readonly string[]
}

/**
 * Reads Kubernetes objects from YAML or JSON files, `-` for standard input: single objects, Lists, several documents, events of
 * a watch. FileError when a file cannot be read or holds no objects at all.
 */
export async function readObjects(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<ObjectsRead> {
  const reader = objectsReader()
  for (const path of paths) {
    const source = await readText(path, stdin)
    const { documents, problems } = parseDocuments(source)
    if (documents.length === 0 && problems.length === 0 && source.text.trim() === '')
      throw new FileError('NOT_OBJECTS', source.name, foreignTextHint(source.text))
    reader.take(source, { documents, problems })
  }
  return reader.end()
}

interface ObjectsReader {
  /** FileError NOT_OBJECTS for what is no object. */
  readonly take: (
    source: { readonly name: string; readonly text: string },
    parsed: { readonly documents: readonly unknown[]; readonly problems: readonly string[] },
  ) => void
  readonly end: () => ObjectsRead
}

function objectsReader(): ObjectsReader {
  const versions = newestVersions()
  const problems: string[] = []
  const unusable: (readonly [file: string, what: string])[] = []
  const passedOver = new Map<string, number>()

  const oldSlices = new Map<string, number>()

  const takeItem = ({ object: given, ...how }: Item, file: string): void => {
    if (isOldSlice(given)) count(oldSlices, file)
    const item = asCurrentVersion(given)
    const kind = kindOf(item)
    const named = withNamespace(item)
    const kept = kind === undefined ? podIn(named) : keepObject(named)
    if (kept !== undefined) versions.take(kept, how)
    else if (kind !== undefined && isNamedObject(named)) unusable.push([file, unusableText(named)])
    else if (kind !== undefined) problems.push(`${file}: a ${kind} has no metadata.name: ignored`)
    else count(passedOver, typeof item['kind'] === 'string' ? printable(item['kind'], 100) : 'object without a kind')
  }

  return {
    take: ({ name, text }, { documents, problems: ofText }) => {
      problems.push(...ofText.map((problem) => `${name}: ${problem}`))
      for (const item of itemsOf(documents, { file: name, text, problems })) takeItem(item, name)
    },
    end: () => {
      const { objects, pods, repeats } = versions.end()
      const [first] = unusable
      if (first !== undefined && objects.length === 0) throw new FileError('NOT_OBJECTS', ...first)
      return {
        objects,
        pods,
        passedOver,
        problems: [
          ...problems,
          ...[...oldSlices].map(([file, slices]) => `${file}: ${oldSlicesText(slices)} read as v1`),
          ...unusable.map((each) => each.join(': ')),
          ...repeats,
        ],
      }
    },
  }
}

const oldSlicesText = (slices: number): string =>
  slices === 1
    ? '1 EndpointSlice of discovery.k8s.io/v1beta1 is'
    : `${slices} EndpointSlices of discovery.k8s.io/v1beta1 are`

const unusableText = (object: KubernetesObject): string =>
  `${labelOf(object)} is not used: ${excessOfObject(object) ?? 'it cannot be read'}`

function podIn(object: JsonObject): PodObject | undefined {
  const { kind, apiVersion, metadata } = object
  if (kind !== 'Pod' || (apiVersion !== undefined && apiVersion !== 'v1') || !isJsonObject(metadata)) return undefined
  const { name, namespace } = metadata
  if (typeof name !== 'string' || name === '' || typeof namespace !== 'string') return undefined
  return excessOf(Object.values(object)) === undefined ? (object as PodObject) : undefined
}

/** An object as it stands in a file. */
interface Item {
  readonly object: JsonObject
  readonly isEvent: boolean
  /** The event says that it is gone. */
  readonly isDeleted: boolean
}

interface ItemsSource {
  readonly file: string
  readonly text: string
  readonly problems: string[]
}

/** Lists stand in lists where several files were put together, a level or two. */
const MOST_LISTS = 20

/** Of several documents those that are no objects, such as JSON in lines of a log, are passed over. */
function itemsOf(documents: readonly unknown[], source: ItemsSource): readonly Item[] {
  if (documents.length === 1) return itemsOfOne(documents[0], source)
  const objects = documents.filter((document) => !isLogLine(document))
  if (objects.length === 0 && documents.length > 0)
    throw new FileError('NOT_OBJECTS', source.file, foreignTextHint(source.text))
  const items: Item[] = []
  for (const document of objects) for (const item of itemsOfOne(document, source)) items.push(item)
  return items
}

const isLogLine = (document: unknown): boolean =>
  isJsonObject(document) ? typeof document['kind'] !== 'string' && !isWatchEvent(document) : !Array.isArray(document)

function itemsOfOne(document: unknown, source: ItemsSource, lists = 0): readonly Item[] {
  const refuse = (hint?: string): FileError => new FileError('NOT_OBJECTS', source.file, hint)
  if (lists > MOST_LISTS) throw refuse(`lists nest deeper than ${MOST_LISTS} levels`)
  if (Array.isArray(document)) return document.flatMap((item: unknown) => itemsOfOne(item, source, lists + 1))
  if (!isJsonObject(document)) throw refuse(foreignTextHint(source.text))
  if (isWatchEvent(document)) return itemsOfEvent(document, source)
  const { kind, items } = document
  if (typeof kind !== 'string') throw refuse(foreignTextHint(source.text) ?? 'an object without a kind')
  const foreign = foreignKind(document)
  if (foreign !== undefined) throw refuse(foreign)
  if (!Array.isArray(items) || !kind.endsWith('List')) return [{ object: document, isEvent: false, isDeleted: false }]
  // The API leaves the kind of a typed list's items out.
  const itemKind = [...OBJECT_KINDS, 'Pod'].find((known) => kind === `${known}List`)
  const typed = itemKind === undefined ? {} : { kind: itemKind }
  return items.flatMap((item: unknown) =>
    isJsonObject(item) ? itemsOfOne({ ...typed, ...item }, source, lists + 1) : [],
  )
}

/** What is an object in name, and stands for a mistake. */
function foreignKind({ kind, apiVersion, status, message }: JsonObject): string | undefined {
  if (kind === 'Status' && status === 'Failure')
    return `this is an error of the API server, ${printable(typeof message === 'string' ? message : 'without a message', 200)}: run the command again where it is allowed`
  if (kind === 'KubeProxyConfiguration') return 'this is a KubeProxyConfiguration: give it with --config'
  if (kind === 'Event' && typeof apiVersion === 'string' && apiVersion.startsWith('audit.k8s.io/'))
    return 'this is an API audit log: import it into a log with `pointsman import`'
  return undefined
}

const isWatchEvent = (document: JsonObject): boolean =>
  typeof document['type'] === 'string' && isJsonObject(document['object'])

function itemsOfEvent({ type, object }: JsonObject, { file, problems }: ItemsSource): readonly Item[] {
  if (!isJsonObject(object) || typeof object['kind'] !== 'string')
    throw new FileError('NOT_OBJECTS', file, 'an event of a watch whose object has no kind')
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED')
    return [{ object, isEvent: true, isDeleted: type === 'DELETED' }]
  const message = object['message']
  if (type === 'ERROR')
    problems.push(
      `${file}: the watch ended with an error: ${printable(typeof message === 'string' ? message : 'without a message', 200)}`,
    )
  return []
}

function withNamespace(object: JsonObject): JsonObject {
  const { kind, metadata } = object
  if (kind === 'Node' || !isJsonObject(metadata) || (metadata['namespace'] ?? '') !== '') return object
  return { ...object, metadata: { ...metadata, namespace: 'default' } }
}

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)

interface NewestVersions {
  readonly take: (object: KubernetesObject | PodObject, how: Omit<Item, 'object'>) => void
  readonly end: () => Pick<ObjectsRead, 'objects' | 'pods'> & { readonly repeats: readonly string[] }
}

interface Version {
  readonly object: KubernetesObject | PodObject
  readonly isDeleted: boolean
  /** How often it was there, and what decided; absent: it was an event of a watch, of which there are many, or there once. */
  readonly repeat?: { readonly times: number; readonly by: 'resourceVersion' | 'place' | 'equal' }
}

/**
 * Keeps one version of each object: the newest by resourceVersion, else the last. An object is often there twice: in several
 * files of one dump, in what `kubectl get --watch -o json` printed, or in a manifest beside what the API served.
 */
function newestVersions(): NewestVersions {
  const versions = new Map<string, Version>()
  let events = 0
  return {
    take: (object, { isDeleted, isEvent }) => {
      if (isEvent) events += 1
      const { kind, metadata } = object
      const key = JSON.stringify([kind, metadata.namespace, metadata.name])
      const known = versions.get(key)
      if (known === undefined) return void versions.set(key, { object, isDeleted })
      const order = compareResourceVersions(versionOf(object), versionOf(known.object))
      const isEqual = (order === 0 || order === undefined) && JSON.stringify(object) === JSON.stringify(known.object)
      const by = isEqual ? 'equal' : order === 0 || order === undefined ? 'place' : 'resourceVersion'
      const times = (known.repeat?.times ?? 1) + 1
      const before = known.repeat?.by ?? 'equal'
      // An end has the version of what it ends, or a later one.
      const isNewer = order === undefined || order >= 0
      versions.set(key, {
        ...(isNewer ? { object, isDeleted } : known),
        ...(!isEvent && { repeat: { times, by: by === 'equal' ? before : by } }),
      })
    },
    end: () => {
      const left = [...versions.values()].filter(({ isDeleted }) => !isDeleted)
      const objects: KubernetesObject[] = []
      const pods: PodObject[] = []
      for (const { object } of left) {
        if (object.kind === 'Pod') pods.push(object)
        else objects.push(object)
      }
      const ofEvents =
        events === 0
          ? []
          : [`${events} events of a watch: the last state of each object is used (\`pointsman import\` keeps all)`]
      return { objects, pods, repeats: [...ofEvents, ...repeatLines(left)] }
    },
  }
}

function versionOf({ metadata }: KubernetesObject | PodObject): string {
  const { resourceVersion } = metadata
  return typeof resourceVersion === 'string' ? resourceVersion : ''
}

/** Objects that are named. */
const MOST_REPEATS = 5

function repeatLines(versions: readonly Version[]): readonly string[] {
  const repeated = versions.filter(({ repeat }) => repeat !== undefined)
  const different = repeated.filter(({ repeat }) => repeat?.by !== 'equal')
  const equal = repeated.length - different.length
  const more = different.length - MOST_REPEATS
  return [
    ...different.slice(0, MOST_REPEATS).map(repeatLine),
    ...(more > 0
      ? [`${more} more objects are given several times, with different content: the newest of each is used`]
      : []),
    ...(equal > 0
      ? [`${equal === 1 ? '1 object is' : `${equal} objects are`} given several times, equal each time`]
      : []),
  ]
}

function repeatLine({ object, repeat }: Version): string {
  const times = repeat?.times === 2 ? 'twice' : `${repeat?.times ?? 0} times`
  const which =
    repeat?.by === 'place'
      ? 'and no resourceVersion says which is the newest: the last one is used'
      : `with different content: the newest is used (resourceVersion ${printable(versionOf(object), 40)})`
  return `${labelOf(object)} is given ${times}, ${which}`
}
