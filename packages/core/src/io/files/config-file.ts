import { stringify } from 'yaml'
import type { JsonObject } from '../../model/kubernetes-object.js'
import { parseDocuments } from './parse-documents.js'
import { readText } from './read-file.js'
import { openLinesFile } from './write-lines.js'

export interface ConfigDocument {
  /** What messages call the file. */
  readonly name: string
  readonly text: string
  /** Whatever the first document of the file holds. */
  readonly document: unknown
}

/** kubeadm's has 1 KB. */
const MAX_CONFIG_BYTES = 1024 * 1024

/**
 * Reads a file that should hold a KubeProxyConfiguration, YAML or JSON, `-` for standard input, and judges nothing of it.
 * FileError when it cannot be read, or is no YAML.
 */
export async function readConfigDocument(path: string, stdin: AsyncIterable<Buffer | string>): Promise<ConfigDocument> {
  const { name, text } = await readText(path, stdin, MAX_CONFIG_BYTES)
  const [document] = parseDocuments({ name, text }).documents
  return { name, text, document }
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
