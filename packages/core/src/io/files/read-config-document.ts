import { parseDocuments } from './parse-documents.js'
import { readText } from './read-text.js'

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
  const [document] = parseDocuments({ name, text })
  return { name, text, document }
}
