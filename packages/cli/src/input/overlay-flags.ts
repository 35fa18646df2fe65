import type { ConfigError, Json, JsonObject } from '@pointsman/core'
import { FileError } from '@pointsman/core/io'
import { CliError } from '../errors.js'
import { KUBE_PROXY_FLAGS } from './kube-proxy-flags.js'

/**
 * A configuration with what flags say in place of its own fields, so that one reader judges both. What is no mapping is
 * left as it is, for that reader to refuse.
 */
export function overlayFlags(document: unknown, given: ReadonlyMap<string, Json>): unknown {
  return [...given].reduce((whole, [path, value]) => withField(whole, path.split('.'), value), document)
}

function withField(mapping: unknown, [name = '', ...rest]: readonly string[], value: Json): unknown {
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) return mapping
  const fields = mapping as JsonObject
  return { ...fields, [name]: rest.length === 0 ? value : withField(fields[name] ?? {}, rest, value) }
}

/**
 * The first of the errors, as the error of whoever made it: CliError USAGE by the flag's name, else FileError NOT_CONFIG.
 * Undefined without errors.
 */
export function configurationError(
  errors: readonly ConfigError[],
  { given, file }: { readonly given: ReadonlyMap<string, Json>; readonly file: string | undefined },
): Error | undefined {
  const [first, ...others] = errors
  if (first === undefined) return undefined
  const withFlags = (text: string): string =>
    [...FLAG_OF_PATH].reduce((said, [path, flag]) => (given.has(path) ? said.replaceAll(path, flag) : said), text)
  const field = first.path.replace(/\[\d+\]$/, '')
  const ofFlag = [...given.keys()].find((path) => path === field || field.startsWith(`${path}.`))
  if (ofFlag !== undefined) {
    const within = field.slice(ofFlag.length + 1)
    const words = [FLAG_OF_PATH.get(ofFlag) ?? ofFlag, ...(within === '' ? [] : [within]), withFlags(first.message)]
    return new CliError('USAGE', words.join(' '))
  }
  const message = `${first.path === '' ? '' : `${first.path} `}${withFlags(first.message)}`
  if (file === undefined) return new CliError('USAGE', message)
  return new FileError('NOT_CONFIG', file, `${message}${others.length === 0 ? '' : `, and ${others.length} more`}`)
}

const FLAG_OF_PATH: ReadonlyMap<string, string> = new Map(KUBE_PROXY_FLAGS.map(({ path, flag }) => [path, flag]))
