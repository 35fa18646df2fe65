import { parseAllDocuments } from 'yaml'
import { FileError } from './file-error.js'

/** The documents of a YAML or JSON text, empty ones left out. FileError NOT_YAML names the file and the place. */
export function parseDocuments({ name, text }: { readonly name: string; readonly text: string }): readonly unknown[] {
  const json = parseJson(text)
  if (json !== undefined) return [json.value]
  const documents = parseAllDocuments(text, { logLevel: 'silent' })
  // For a text without any document the parser answers an empty list with its own marks on it.
  return [...documents].flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw new FileError('NOT_YAML', name, error.message.split('\n')[0])
    const value: unknown = valueOf(document, name)
    return value === null || value === undefined ? [] : [value]
  })
}

// What kubectl prints is mostly JSON, which the YAML parser reads fifty times slower.
function parseJson(text: string): { readonly value: unknown } | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

function valueOf(document: { toJS(): unknown }, name: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // Aliases that would unfold to more than memory holds.
    throw FileError.from('NOT_YAML', name, error)
  }
}
