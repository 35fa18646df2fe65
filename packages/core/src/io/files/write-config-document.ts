import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import type { JsonObject } from '../../model/kubernetes-object.js'
import { FileError } from './file-error.js'

/** Writes a configuration as YAML, its fields in the order of their names, as kube-proxy does. FileError CANNOT_WRITE. */
export async function writeConfigDocument(path: string, document: JsonObject): Promise<void> {
  try {
    await writeFile(path, stringify(document, { sortMapEntries: true }))
  } catch (error) {
    throw FileError.from('CANNOT_WRITE', path, error)
  }
}
