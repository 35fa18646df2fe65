import { readProxyConfig } from '../../model/read-proxy-config.js'
import type { ProxyConfig } from '../../model/proxy-config.js'
import { FileError } from './file-error.js'
import { parseDocuments } from './parse-documents.js'
import { readText } from './read-text.js'

/**
 * Reads a KubeProxyConfiguration, YAML or JSON, `-` for standard input. FileError NOT_CONFIG names the first field that is
 * wrong.
 */
export async function readConfigFile(
  path: string,
  stdin: AsyncIterable<Buffer | string>,
): Promise<{ readonly config: ProxyConfig; readonly warnings: readonly string[] }> {
  const source = await readText(path, stdin)
  const [document] = parseDocuments(source)
  const { config, warnings, errors } = readProxyConfig(document)
  const [first] = errors
  if (first === undefined) return { config, warnings: warnings.map((warning) => `${source.name}: ${warning}`) }
  const more = errors.length === 1 ? '' : `, and ${errors.length - 1} more`
  throw new FileError('NOT_CONFIG', source.name, `${first.path === '' ? '' : `${first.path} `}${first.message}${more}`)
}
