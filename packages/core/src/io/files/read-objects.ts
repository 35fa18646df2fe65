import { isJsonObject } from '../../model/json-value.js'
import { excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import { type JsonObject, type KubernetesObject, OBJECT_KINDS } from '../../model/kubernetes-object.js'
import { FileError, readText } from './read-file.js'
import { kindOf, labelOf } from './parse-watch-event.js'
import { parseDocuments } from './parse-documents.js'

export interface ObjectsRead {
  /** As the log would keep them, in the order in which they stand; a Service or slice without a namespace is in `default`. */
  readonly objects: readonly KubernetesObject[]
  /** How many of each other kind were passed over. */
  readonly passedOver: ReadonlyMap<string, number>
  /** Objects of our kinds that could not be used: `FILE: the Service has no metadata.name`. */
  readonly problems: readonly string[]
}

/**
 * Reads Kubernetes objects from YAML or JSON files, `-` for standard input: single objects, Lists, several documents.
 * FileError when a file cannot be read or holds no objects at all.
 */
export async function readObjects(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<ObjectsRead> {
  const objects: KubernetesObject[] = []
  const problems: string[] = []
  const unusable: (readonly [file: string, what: string])[] = []
  const passedOver = new Map<string, number>()
  for (const path of paths) {
    const source = await readText(path, stdin)
    const items = parseDocuments(source).flatMap((document) => itemsOf(document, source.name))
    for (const item of items) {
      const kind = kindOf(item)
      const named = withNamespace(item)
      const kept = kind === undefined ? undefined : keepObject(named)
      if (kept !== undefined) objects.push(kept)
      else if (kind !== undefined && isNamedObject(named)) unusable.push([source.name, unusableText(named)])
      else if (kind !== undefined) problems.push(`${source.name}: a ${kind} has no metadata.name: ignored`)
      else count(passedOver, typeof item['kind'] === 'string' ? item['kind'] : 'object without a kind')
    }
  }
  const [first] = unusable
  if (first !== undefined && objects.length === 0) throw new FileError('NOT_OBJECTS', ...first)
  return { objects, passedOver, problems: [...problems, ...unusable.map((each) => each.join(': '))] }
}

const unusableText = (object: KubernetesObject): string =>
  `${labelOf(object)} is not used: ${excessOfObject(object) ?? 'it cannot be read'}`

/** Lists stand in lists where several files were put together, a level or two. */
const MOST_LISTS = 20

function itemsOf(document: unknown, file: string, lists = 0): readonly JsonObject[] {
  if (lists > MOST_LISTS) throw new FileError('NOT_OBJECTS', file, `lists nest deeper than ${MOST_LISTS} levels`)
  if (Array.isArray(document)) return document.flatMap((item: unknown) => itemsOf(item, file, lists + 1))
  if (!isJsonObject(document)) throw new FileError('NOT_OBJECTS', file)
  const { kind, items } = document
  if (typeof kind !== 'string')
    throw new FileError('NOT_OBJECTS', file, isRecording(document) ? RECORDING_HINT : 'an object without a kind')
  if (!Array.isArray(items) || !kind.endsWith('List')) return [document]
  // The API leaves the kind of a typed list's items out.
  const itemKind = OBJECT_KINDS.find((known) => kind === `${known}List`)
  const typed = itemKind === undefined ? {} : { kind: itemKind }
  return items.flatMap((item: unknown) => (isJsonObject(item) ? itemsOf({ ...typed, ...item }, file, lists + 1) : []))
}

const RECORDING_HINT = 'this is a recording of watch events: import it into a log with `pointsman import`'
const isRecording = (document: JsonObject): boolean =>
  typeof document['type'] === 'string' && isJsonObject(document['object'])

function withNamespace(object: JsonObject): JsonObject {
  const { kind, metadata } = object
  if (kind === 'Node' || !isJsonObject(metadata) || (metadata['namespace'] ?? '') !== '') return object
  return { ...object, metadata: { ...metadata, namespace: 'default' } }
}

const count = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
