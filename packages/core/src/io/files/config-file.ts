import { stringify } from 'yaml'
import { CONFIG_KIND } from '../../config/config-document.js'
import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { foreignTextOf } from './foreign-text.js'
import { parseDocuments } from './parse-documents.js'
import { FileError, readText } from './read-file.js'
import { openLinesFile } from './write-lines.js'

export interface ConfigDocument {
  /** What messages call the file. */
  readonly name: string
  readonly text: string
  /** The KubeProxyConfiguration of the file, else whatever its first document holds. */
  readonly document: unknown
}

/** kubeadm's has 1 KB. */
const MAX_CONFIG_BYTES = 1024 * 1024

/**
 * Reads a file that should hold a KubeProxyConfiguration, YAML or JSON, `-` for standard input, and judges nothing of it: that
 * document of several, or the one in the data of a ConfigMap, as kubeadm keeps it, also in a List. FileError when it cannot be
 * read, is no YAML, or is another thing by its looks.
 */
export async function readConfigDocument(path: string, stdin: AsyncIterable<Buffer | string>): Promise<ConfigDocument> {
  const { name, text } = await readText(path, stdin, MAX_CONFIG_BYTES)
  const foreign = foreignTextOf(text)
  if (foreign !== undefined && text.trim() !== '')
    throw new FileError('NOT_CONFIG', name, `this is ${foreign.what}: ${GET_CONFIG}`)
  const { documents } = parseDocuments({ name, text })
  const all = documents.flatMap((document) => (listOf(document) ?? [document]) as readonly unknown[])
  const own = all.find(isConfiguration)
  const maps = all.filter(isConfigMap)
  if (own !== undefined || maps.length === 0) return { name, text, document: own ?? documents[0] }
  return { name, text, document: inConfigMaps(name, maps) }
}

const GET_CONFIG = 'run `kubectl -n kube-system get configmap kube-proxy -o yaml`'

const isConfiguration = (document: unknown): boolean => isJsonObject(document) && document['kind'] === CONFIG_KIND.kind

const isConfigMap = (document: unknown): document is JsonObject =>
  isJsonObject(document) && document['kind'] === 'ConfigMap'

/** What a List holds. The API leaves the kind of a typed list's items out. */
function listOf(document: unknown): readonly Json[] | undefined {
  if (!isJsonObject(document)) return undefined
  const { kind, items } = document
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return undefined
  const isTyped = kind === 'ConfigMapList'
  return items.map((item: Json) => (isTyped && isJsonObject(item) ? { kind: 'ConfigMap', ...item } : item))
}

/** The configuration in ConfigMaps: that of the one called kube-proxy, else the only one. */
function inConfigMaps(name: string, maps: readonly JsonObject[]): unknown {
  const found = maps.flatMap((map) => configurationsIn(name, map).map((document) => ({ map: mapName(map), document })))
  const named = found.filter(({ map }) => map === 'kube-proxy')
  const [first, second] = named.length > 0 ? named : found
  if (first !== undefined && second === undefined) return first.document
  const which = [...new Set(maps.map(mapName))]
    .map((map) => printable(map, 60))
    .slice(0, 5)
    .join(', ')
  throw new FileError(
    'NOT_CONFIG',
    name,
    first === undefined
      ? `no KubeProxyConfiguration is in the data of the ConfigMap ${which}: ${GET_CONFIG}`
      : `several KubeProxyConfigurations are in ConfigMaps (${which}): ${GET_CONFIG}`,
  )
}

const mapName = ({ metadata }: JsonObject): string => {
  const name = isJsonObject(metadata) ? metadata['name'] : undefined
  return typeof name === 'string' ? name : 'without a name'
}

/** kubeadm calls it config.conf, others config. */
function configurationsIn(file: string, { data }: JsonObject): readonly unknown[] {
  if (!isJsonObject(data)) return []
  return Object.entries(data).flatMap(([key, text]) => {
    if (typeof text !== 'string' || !/\bkind["']?\s*:\s*["']?KubeProxyConfiguration\b/.test(text)) return []
    return parseDocuments({ name: `${file}, data[${printable(key, 60)}]`, text }).documents.filter(isConfiguration)
  })
}

/**
 * Writes a configuration as YAML, its fields in the order of their names, as kube-proxy does; `openLinesFile` says how the
 * file comes to be. FileError CANNOT_WRITE.
 */
export function writeConfigDocument(path: string, document: JsonObject, { unique }: { readonly unique: string }): void {
  const file = openLinesFile(path, { unique })
  let isDone = false
  try {
    file.write(stringify(document, { sortMapEntries: true }))
    file.finish()
    isDone = true
  } finally {
    if (!isDone) file.abandon()
  }
}
