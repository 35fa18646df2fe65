import { canonical, isJsonObject } from '../../model/json-value.js'
import { excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import {
  isClusterScoped,
  OBJECT_KINDS,
  type Json,
  type JsonObject,
  type KubernetesObject,
} from '../../model/kubernetes-object.js'
import { serviceLabelOf } from '../../model/names.js'
import { excessOf } from '../../model/object-bounds.js'
import { printable } from '../../model/shown-text.js'
import {
  addressesOfSubsets,
  asCurrentVersion,
  isEndpoints,
  isOldSlice,
  sliceOfEndpoints,
} from '../../model/slice-forms.js'
import { foreignTextHint } from './foreign-text.js'
import { newestVersions, type PodObject, type VersionOrigin } from './newest-versions.js'
import { parseDocuments } from './parse-documents.js'
import { kindOf, labelOf } from './parse-watch-event.js'
import { FileError, MAX_TEXT_BYTES } from './read-file.js'
import { findTexts } from './read-tree.js'

export interface ObjectsRead {
  /**
   * As the log would keep them, in the order in which they stand; a Service or slice without a namespace is in `default`. Each
   * is there once: the newest version.
   */
  readonly objects: readonly KubernetesObject[]
  /**
   * The same with Endpoints objects (`sliceOfEndpoints`), for layout `classic`: never beside an EndpointSlice of the same Service and family,
   * in place of which they come. Undefined: there are none. Among `passedOver` they count as well.
   */
  readonly withEndpoints?: readonly KubernetesObject[]
  /** The Pods, which no proxy reads. */
  readonly pods: readonly PodObject[]
  /** How many of each other kind were passed over. */
  readonly passedOver: ReadonlyMap<string, number>
  /** What could not be used, and which version was: `FILE: the Service has no metadata.name`. */
  readonly problems: readonly string[]
}

/**
 * Reads Kubernetes objects from YAML or JSON files, `-` for standard input: single objects, Lists, several documents, events of
 * a watch; and those that are somewhere in a directory or a tar archive, such as must-gather makes. FileError when a file cannot be read or holds no objects at all.
 */
export async function readObjects(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<ObjectsRead> {
  const reader = objectsReader()
  for (const path of paths) {
    const { texts, problems, lookedAt } = findTexts(path, stdin, {
      isWanted: beginsLikeObjects,
      maxBytes: MAX_TEXT_BYTES,
    })
    let files = 0
    let isOne = false
    for await (const source of texts) {
      isOne ||= !source.isOfMany
      if (!source.isOfMany) reader.take(source)
      else if (reader.takeOneOfMany(source)) files += 1
    }
    if (isOne) continue
    if (lookedAt() === 0) throw new FileError('NOT_OBJECTS', path, 'there is no file in it')
    reader.note(problems)
    if (files === 0)
      throw new FileError(
        'NOT_OBJECTS',
        path,
        `none of its ${lookedAt()} files has Services, EndpointSlices, Nodes or Pods`,
      )
    reader.note([`${path}: ${files} of ${lookedAt()} files have objects that are used`])
  }
  return reader.end()
}

/** Of one of many files: JSON or YAML of the API. */
const beginsLikeObjects = (beginning: string): boolean =>
  /^\s*[[{]/.test(beginning)
    ? /"(?:kind|apiVersion)"\s*:/.test(beginning)
    : /^(?:- )?(?:apiVersion|kind|items):/m.test(beginning)

/** Of what a service proxy reads, and Pods: with their kind where an object or a List has it, as opposed to a reference. */
const OBJECTS_IN_YAML =
  /^(?:- | {2})?kind: *["']?(?:Service|ServiceCIDR|EndpointSlice|Endpoints|Node|Pod)(?:List)?["']? *\r?$/m
const OBJECTS_IN_JSON = /"kind"\s*:\s*"(?:Service|ServiceCIDR|EndpointSlice|Endpoints|Node|Pod)(?:List)?"/

interface TextSource {
  readonly name: string
  readonly text: string
}

interface ObjectsReader {
  /** FileError for what is no object. */
  readonly take: (source: TextSource) => void
  /** Takes the objects out of a file of a directory or an archive, and passes over what else is in it; whether there were any. */
  readonly takeOneOfMany: (source: TextSource) => boolean
  readonly note: (problems: readonly string[]) => void
  readonly end: () => ObjectsRead
}

function objectsReader(): ObjectsReader {
  const versions = newestVersions()
  const endpoints = newestVersions()
  const problems: string[] = []
  const unusable: (readonly [file: string, what: string])[] = []
  const passedOver = new Map<string, number>()

  const oldSlices = new Map<string, number>()
  let unread = 0
  const note = (more: readonly string[]): void => void problems.push(...more)

  const takeItem = ({ object: given, ...how }: Item, file: string): void => {
    if (isOldSlice(given)) count(oldSlices, file)
    if (isEndpoints(given)) {
      const slice = keepObject(sliceOfEndpoints(withNamespace(given)))
      if (slice !== undefined) endpoints.take(slice, how)
    }
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
    take(source) {
      const { name, text } = source
      const { documents, problems: ofText } = parseDocuments(source)
      if (documents.length === 0 && ofText.length === 0 && text.trim() === '')
        throw new FileError('NOT_OBJECTS', name, foreignTextHint(text))
      note(ofText.map((problem) => `${name}: ${problem}`))
      for (const item of itemsOf(documents, { file: name, text, problems })) takeItem(item, name)
    },
    takeOneOfMany(source) {
      const { name, text } = source
      if (!OBJECTS_IN_YAML.test(text) && !OBJECTS_IN_JSON.test(text)) return false
      try {
        const { documents, problems: ofText } = parseDocuments(source)
        const items = itemsOf(documents, { file: name, text, problems }).filter(({ object }) => isUsed(object))
        for (const item of items) takeItem(item, name)
        if (items.length > 0) note(ofText.map((problem) => `${name}: ${problem}`))
        return items.length > 0
      } catch (error) {
        if (!(error instanceof FileError)) throw error
        unread += 1
        if (unread <= MOST_UNREAD) note([error.message])
        return false
      }
    },
    note,
    end: () => {
      const { objects, pods, repeats } = versions.end()
      const [first] = unusable
      if (first !== undefined && objects.length === 0) throw new FileError('NOT_OBJECTS', ...first)
      const slices = endpoints.end().objects
      return {
        objects,
        ...(slices.length > 0 && { withEndpoints: withEndpoints(objects, slices) }),
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

/**
 * The objects with what stands for Endpoints. An Endpoints has the addresses of one family of its Service: EndpointSlices of the other
 * still count, as do those of Services without an Endpoints. One without addresses says that there are none in either.
 */
function withEndpoints(
  objects: readonly KubernetesObject[],
  slices: readonly KubernetesObject[],
): readonly KubernetesObject[] {
  const given = new Map(slices.map((slice) => [serviceKeyOf(slice), familiesOfSubsets(slice)]))
  const isReplaced = (object: KubernetesObject): boolean => {
    const families = object.kind === 'EndpointSlice' ? given.get(serviceKeyOf(object)) : undefined
    return families !== undefined && (families.size === 0 || families.has(object['addressType']))
  }
  return [...objects.filter((object) => !isReplaced(object)), ...slices]
}

const serviceKeyOf = (slice: KubernetesObject): string =>
  `${slice.metadata.namespace ?? ''}/${serviceLabelOf(slice) ?? ''}`

function familiesOfSubsets(slice: KubernetesObject): ReadonlySet<Json | undefined> {
  const families = new Set<Json | undefined>()
  for (const address of addressesOfSubsets(slice)) families.add(address.includes(':') ? 'IPv6' : 'IPv4')
  return families
}

/** Files that could not be read, each named. */
const MOST_UNREAD = 10

const isUsed = (object: JsonObject): boolean =>
  kindOf(asCurrentVersion(object)) !== undefined || object['kind'] === 'Pod' || isEndpoints(object)

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
  if (excessOf(Object.values(object)) !== undefined) return undefined
  // Equal Pods are equal text, as with what `keepObject` gives; a typed list leaves the apiVersion out.
  return canonical({ ...object, apiVersion: 'v1' }) as PodObject
}

/** An object as it stands in a file. */
interface Item extends VersionOrigin {
  readonly object: JsonObject
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
  const itemKind = [...OBJECT_KINDS, 'Endpoints', 'Pod'].find((known) => kind === `${known}List`)
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
  if (isClusterScoped(kind) || !isJsonObject(metadata) || (metadata['namespace'] ?? '') !== '') return object
  return { ...object, metadata: { ...metadata, namespace: 'default' } }
}

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
