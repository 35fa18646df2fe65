import { dirname, resolve } from 'node:path'
import type { Cluster } from '@kubernetes/client-node'
import { isJsonObject } from '../../../model/json-value.js'
import type { Json, JsonObject } from '../../../model/kubernetes-object.js'
import { messageOf } from '../../../model/language.js'
import { parseYaml } from '../../files/parse-documents.js'
import {
  ApiServerError,
  isHeaderText,
  serverUrlOf,
  type ReadText,
  type ServerSettings,
  type UserSettings,
} from './server-settings.js'

export function checkedUrl(address: string, subject: string, how: { readonly verified: boolean }): URL {
  const url = serverUrlOf(address, how)
  if (url === undefined)
    throw new ApiServerError('KUBECONFIG_INVALID', { subject, detail: `${address} is not an http or https URL` })
  return url
}

interface KubeconfigQuestion {
  /** Several are merged as kubectl merges them: the first that names something counts. */
  readonly files: readonly string[]
  /** Absent: the current context of the first file that has one. */
  readonly context?: string | undefined
  /** In place of the cluster's address. */
  readonly master?: string | undefined
  readonly read: ReadText
}

/**
 * What the files say of one context. Throws an ApiServerError: KUBECONFIG_INVALID, which names file and field, and
 * CONTEXT_NOT_FOUND, which names those that are there. Entries that the context does not lead to may be broken.
 */
export async function readKubeconfig({ files, context, master, read }: KubeconfigQuestion): Promise<ServerSettings> {
  const documents = await Promise.all(files.map((file) => readDocument(file, read)))
  const named = context ?? currentContextOf(documents)
  const found = named === undefined ? undefined : entryOf(documents, 'contexts', named)
  const subject = `${files.join(':')}${named === undefined ? '' : `, context ${named}`}`
  if (named === undefined || found === undefined) {
    const known = documents.flatMap((document) => entriesOf(document, 'contexts').map(({ name }) => name))
    const detail = known.length === 0 ? 'it has none' : `it has ${[...new Set(known)].join(', ')}`
    throw new ApiServerError('CONTEXT_NOT_FOUND', {
      subject: named === undefined ? `${subject}, no current-context` : subject,
      detail,
    })
  }
  const chosen = fieldsOf(found, 'context')
  const clusterEntry = required(documents, { list: 'clusters', name: textIn(chosen, 'cluster', found), subject })
  const cluster = clusterOf(clusterEntry)
  // A context without a user is one without credentials.
  const userName = chosen['user']
  const userEntry =
    typeof userName === 'string' && userName !== ''
      ? required(documents, { list: 'users', name: userName, subject })
      : undefined
  const user = userEntry === undefined ? { name: '' } : userOf(userEntry)
  const directory = dirname(userEntry?.file ?? clusterEntry.file)
  return {
    source: subject,
    url: urlOf(master ?? cluster.server, { cluster, user, subject }),
    cluster: {
      ...cluster,
      ...(cluster.caFile === undefined ? {} : { caFile: resolve(dirname(clusterEntry.file), cluster.caFile) }),
    },
    user,
    directory,
  }
}

interface Document {
  readonly file: string
  readonly content: JsonObject
}

interface Entry {
  readonly file: string
  readonly name: string
  readonly raw: JsonObject
}

type ListName = 'clusters' | 'contexts' | 'users'

async function readDocument(file: string, read: ReadText): Promise<Document> {
  try {
    const [content, another] = parseYaml(await read(file))
    if (another !== undefined) throw new Error('it holds more than one document')
    if (!isJsonObject(content)) throw new Error('it is not a mapping')
    const kind = content['kind'] ?? 'Config'
    if (kind !== 'Config')
      throw new Error(`its kind is ${typeof kind === 'string' ? JSON.stringify(kind) : 'no text'}, not Config`)
    return { file, content }
  } catch (error) {
    throw new ApiServerError('KUBECONFIG_INVALID', { subject: file, detail: describe(error) }, { cause: error })
  }
}

function describe(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'no such file'
  // A YAML error goes on for lines: the first says what and where.
  const [first = ''] = messageOf(error).split('\n')
  return first
}

function currentContextOf(documents: readonly Document[]): string | undefined {
  return documents
    .map(({ content }) => content['current-context'])
    .find((name): name is string => typeof name === 'string' && name !== '')
}

function entriesOf({ file, content }: Document, list: ListName): readonly Entry[] {
  const values = content[list] ?? []
  if (!Array.isArray(values)) throw invalid(file, `${list} is no list`)
  return values.flatMap((raw) =>
    isJsonObject(raw) && typeof raw['name'] === 'string' ? [{ file, name: raw['name'], raw }] : [],
  )
}

const entryOf = (documents: readonly Document[], list: ListName, name: string): Entry | undefined =>
  documents.flatMap((document) => entriesOf(document, list)).find((entry) => entry.name === name)

function required(
  documents: readonly Document[],
  { list, name, subject }: { readonly list: ListName; readonly name: string; readonly subject: string },
): Entry {
  const entry = entryOf(documents, list, name)
  if (entry === undefined) throw invalid(subject, `it names ${name}, which is not among the ${list}`)
  return entry
}

type Part = 'cluster' | 'context' | 'user'

/** What an entry says: `clusters[dock].cluster`. Throws where a field that is read is of a wrong type, or no text for a header. */
function fieldsOf(entry: Entry, part: Part): JsonObject {
  const fields = entry.raw[part]
  if (!isJsonObject(fields)) throw invalid(entry.file, `${part}s[${entry.name}].${part} is missing`)
  const wrong = TEXTS[part].find((name) => !['string', 'undefined'].includes(typeof (fields[name] ?? undefined)))
  const place = `${part}s[${entry.name}].${part}`
  if (wrong !== undefined) throw invalid(entry.file, `${place}.${wrong} is not a string: put it in quotes`)
  for (const [name, { isRight, wanted }] of Object.entries(OTHER_TYPES[part]))
    if (fields[name] != null && !isRight(fields[name])) throw invalid(entry.file, `${place}.${name} is not ${wanted}`)
  const unsendable = HEADER_FIELDS[part].find((name) => !textsIn(fields[name]).every(isHeaderText))
  if (unsendable === undefined) return fields
  throw invalid(
    entry.file,
    `${place}.${unsendable} contains a line break or another character that an HTTP header cannot carry`,
  )
}

function textIn(fields: JsonObject, field: 'cluster' | 'server', { file, name }: Entry): string {
  const text = fields[field]
  if (typeof text === 'string' && text !== '') return text
  const part = field === 'cluster' ? 'context' : 'cluster'
  throw invalid(file, `${part}s[${name}].${part}.${field} is missing`)
}

const TEXTS = {
  context: ['cluster', 'user'],
  cluster: ['server', 'certificate-authority', 'certificate-authority-data', 'tls-server-name', 'proxy-url'],
  user: [
    'client-certificate',
    'client-certificate-data',
    'client-key',
    'client-key-data',
    'token',
    'tokenFile',
    'username',
    'password',
    'as',
    'as-uid',
  ],
} as const

interface FieldType {
  readonly isRight: (value: Json) => boolean
  readonly wanted: string
}

const isTextList = (value: Json | undefined): boolean =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')

/** The fields that are read and are no texts. */
const OTHER_TYPES: { readonly [part in Part]: { readonly [field: string]: FieldType } } = {
  context: {},
  cluster: {
    'insecure-skip-tls-verify': {
      isRight: (value) => typeof value === 'boolean',
      wanted: 'true or false: remove the quotes',
    },
  },
  user: {
    'as-groups': { isRight: isTextList, wanted: 'a list of strings' },
    'as-user-extra': {
      isRight: (value) => isJsonObject(value) && Object.values(value).every(isTextList),
      wanted: 'a mapping of names to lists of strings',
    },
  },
}

/** The fields that go into headers as they are. */
const HEADER_FIELDS: { readonly [part in Part]: readonly string[] } = {
  context: [],
  cluster: [],
  user: ['token', 'as', 'as-uid', 'as-groups', 'as-user-extra'],
}

/** A text, the texts of a list, or those of the lists of a mapping. */
function textsIn(value: Json | undefined): readonly string[] {
  if (typeof value === 'string') return [value]
  return isJsonObject(value) ? Object.values(value).flatMap(textsOf) : textsOf(value)
}

function clusterOf(entry: Entry): Cluster {
  const fields = fieldsOf(entry, 'cluster')
  return {
    name: entry.name,
    server: textIn(fields, 'server', entry).replace(/\/$/, ''),
    skipTLSVerify: fields['insecure-skip-tls-verify'] === true,
    ...texts(fields, {
      caData: 'certificate-authority-data',
      caFile: 'certificate-authority',
      tlsServerName: 'tls-server-name',
      proxyUrl: 'proxy-url',
    }),
  }
}

function userOf(entry: Entry): UserSettings {
  // `user: null`, or none, is one without credentials.
  const fields = (entry.raw['user'] ?? undefined) === undefined ? {} : fieldsOf(entry, 'user')
  const { exec, 'auth-provider': authProvider, 'as-groups': as, 'as-user-extra': asExtra } = fields
  const files = texts(fields, { certFile: 'client-certificate', keyFile: 'client-key', tokenFile: 'tokenFile' })
  const groups = textsOf(as)
  const extra = isJsonObject(asExtra)
    ? Object.entries(asExtra).map(([name, list]) => [name, textsOf(list)] as const)
    : []
  return {
    name: entry.name,
    ...texts(fields, {
      certData: 'client-certificate-data',
      keyData: 'client-key-data',
      token: 'token',
      username: 'username',
      password: 'password',
      impersonateUser: 'as',
      impersonateUid: 'as-uid',
    }),
    ...Object.fromEntries(Object.entries(files).map(([name, file]) => [name, resolve(dirname(entry.file), file)])),
    ...(exec ? { exec } : {}),
    ...(authProvider ? { authProvider } : {}),
    ...(groups.length > 0 ? { impersonateGroups: groups } : {}),
    ...(extra.length > 0 ? { impersonateExtra: Object.fromEntries(extra) } : {}),
  }
}

/** The fields that say something, by the names that client-node has for them. */
function texts<Name extends string>(
  fields: JsonObject,
  names: Readonly<Record<Name, string>>,
): { readonly [name in Name]?: string } {
  const read = Object.entries<string>(names).map(([name, field]) => [name, fields[field]] as const)
  return Object.fromEntries(read.filter(([, text]) => typeof text === 'string' && text !== '')) as {
    readonly [name in Name]?: string
  }
}

const textsOf = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === 'string') : []

function urlOf(
  address: string,
  { cluster, user, subject }: { readonly cluster: Cluster; readonly user: UserSettings; readonly subject: string },
): URL {
  const { caFile, caData, skipTLSVerify } = cluster
  const verified = Boolean(caFile ?? caData ?? user.certFile ?? user.certData) || skipTLSVerify
  const url = serverUrlOf(address, { verified })
  if (url === undefined) throw invalid(subject, `${address} is not an http or https URL`)
  return url
}

const invalid = (subject: string, detail: string, cause?: unknown): ApiServerError =>
  new ApiServerError('KUBECONFIG_INVALID', { subject, detail }, { cause })
