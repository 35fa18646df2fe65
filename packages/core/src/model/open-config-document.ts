import { configFields, type ConfigError, type ConfigFields } from './config-fields.js'
import { KNOWN_CONFIG_FIELDS } from './known-config-fields.js'

export interface OpenConfigDocument {
  readonly root: ConfigFields
  /** Grow as fields are read. */
  readonly warnings: string[]
  readonly errors: ConfigError[]
}

/** What is to be asked of a document before its fields: that it is a KubeProxyConfiguration, and holds no others. */
export function openConfigDocument(document: unknown): OpenConfigDocument {
  const errors: ConfigError[] = []
  const warnings: string[] = []
  const root = configFields(document, '', errors)
  if (document === undefined || document === null) {
    errors.push({ path: '', message: 'the document is empty: give a KubeProxyConfiguration' })
  }
  checkKind(root, warnings)
  warnOfUnknown(root, warnings)
  return { root, warnings, errors }
}

/** A mapping of a wrong type is read, and reported, once for each of its uses. */
export function withoutRepetitions(errors: readonly ConfigError[]): readonly ConfigError[] {
  const byText = new Map(errors.map((error) => [`${error.path} ${error.message}`, error]))
  return [...byText.values()]
}

export const CONFIG_KIND = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' } as const

function checkKind(root: ConfigFields, warnings: string[]): void {
  for (const [name, value] of Object.entries(CONFIG_KIND)) {
    const found = root.text(name)
    if (found === undefined) warnings.push(`${name} is missing: the document is read as ${value}`)
    else if (found !== value) root.reject(name, `must be ${value}, and is ${JSON.stringify(found)}`)
  }
}

function warnOfUnknown(root: ConfigFields, warnings: string[]): void {
  for (const [mapping, known] of KNOWN_CONFIG_FIELDS) {
    const steps = mapping === '' ? [] : mapping.split('.')
    const fields = steps.reduce((outer, step) => outer.within(step), root)
    for (const { name, path } of fields.names()) {
      if (!known.has(name)) warnings.push(`${path} is not a field of a KubeProxyConfiguration, and has no effect`)
    }
  }
}
