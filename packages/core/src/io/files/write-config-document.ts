import { stringify } from 'yaml'
import type { JsonObject } from '../../model/kubernetes-object.js'
import { openLinesFile } from './write-lines.js'

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
