import {
  type ChangeLogReader,
  type Dataplane,
  endpointsByAddress,
  type IpFamily,
  type JsonObject,
  type KubernetesObject,
  type ListingFile,
  type LoadedRules,
  type ProxyConfig,
  type Seq,
  serviceOf,
  type ServiceName,
} from '@pointsman/core'
import {
  findTexts,
  foreignTextOf,
  openChangeLog,
  readObjects,
  whoElseCanWrite,
  type PodObject,
} from '@pointsman/core/io'
import type { Command } from 'commander'
import { warn, type Context } from '../context.js'
import { CliError } from '../errors.js'
import { countOf } from '../output/format-text.js'
import { formatTime } from '../output/json.js'
import { POINT_FORMS, resolvePoint, type ResolvedPoint } from './point-in-time.js'

/** As commander parses `--log FILE` and `--objects FILE|-`. */
export interface InputOptions {
  readonly log?: string
  readonly objects?: readonly string[]
  /** With `classic`, Endpoints objects are used in place of EndpointSlices of the same Service and family. */
  readonly layout?: ProxyConfig['layout']
  /** The layout is not known yet: Endpoints are not said to be ignored. */
  readonly mayUseEndpoints?: boolean
}

export type Input =
  | { readonly type: 'log'; readonly path: string; readonly reader: ChangeLogReader }
  | {
      readonly type: 'objects'
      readonly names: readonly string[]
      readonly objects: readonly KubernetesObject[]
      /** With Endpoints in place of EndpointSlices of the same Service and family, where there are any. */
      readonly withEndpoints?: readonly KubernetesObject[] | undefined
      readonly pods: readonly PodObject[]
    }

/** Adds `--log`. */
export const withLogOption = (command: Command): Command =>
  command.option('--log <file>', 'the change log (default: the environment variable POINTSMAN_LOG)')

/** Adds `--log` and `--objects`. */
export const withInputOptions = (command: Command): Command => withObjectsOption(withLogOption(command))

/** Adds `--objects`. */
export const withObjectsOption = (command: Command): Command =>
  command.option(
    '--objects <file>',
    'a file with objects (YAML, JSON), a directory or tar archive that has some, or - for standard input, instead of a log (repeatable)',
    (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
  )

/**
 * Opens the log or reads the objects that a question is about, and says on standard error what was passed over. CliError
 * USAGE when neither or both are given; the caller closes the reader.
 */
export async function openInput(options: InputOptions, context: Context): Promise<Input> {
  const { objects: names } = options
  if (names === undefined || names.length === 0) return { type: 'log', ...openLog(options, context) }
  if (options.log !== undefined) throw new CliError('USAGE', 'give either --log or --objects, not both')
  const {
    withEndpoints,
    pods,
    passedOver: others,
    problems,
    ...read
  } = await readObjects(names, byteStream(context.stdin))
  for (const problem of problems) warn(context, problem)
  const isOfEndpoints = options.layout === 'classic' && withEndpoints !== undefined
  const objects = isOfEndpoints ? withEndpoints : read.objects
  if (isOfEndpoints) warnOfEndpoints({ objects: read.objects, withEndpoints }, context)
  const mayBeUsed = options.layout === 'classic' || options.mayUseEndpoints === true
  const passedOver = new Map([...others].filter(([kind]) => !mayBeUsed || kind !== 'Endpoints'))
  if (passedOver.size > 0) {
    const kinds = [...passedOver].slice(0, MOST_KINDS).map(([kind, count]) => `${count} ${kind}`)
    const more = passedOver.size - kinds.length
    const rest = more > 0 ? `, and ${countOf(more, 'more kind')}` : ''
    warn(context, `ignored objects of kinds that a service proxy does not use: ${kinds.join(', ')}${rest}`)
  }
  return { type: 'objects', names, objects, withEndpoints, pods }
}

interface WithEndpoints {
  readonly objects: readonly KubernetesObject[]
  /** With Endpoints in place of some of its EndpointSlices. */
  readonly withEndpoints: readonly KubernetesObject[]
}

/** Says for how many Services Endpoints count that have other addresses than the EndpointSlices in whose place they are. */
export function warnOfEndpoints({ objects, withEndpoints }: WithEndpoints, context: Context): void {
  const used = new Set(withEndpoints)
  const replaced = new Map<ServiceName, Set<string>>()
  for (const object of objects) {
    const service = used.has(object) ? undefined : serviceOf(object)
    if (service === undefined) continue
    const addresses = replaced.get(service) ?? new Set<string>()
    for (const address of endpointsByAddress(object).keys()) addresses.add(address)
    replaced.set(service, addresses)
  }
  const services = new Set(objects.map((object) => (object.kind === 'Service' ? serviceOf(object) : undefined)))
  const differ = withEndpoints.filter((object) => {
    const service = object['subsets'] === undefined ? undefined : serviceOf(object)
    if (service === undefined || !services.has(service)) return false
    const addresses = [...endpointsByAddress(object).keys()]
    const others = replaced.get(service) ?? new Set<string>()
    return addresses.length !== others.size || addresses.some((address) => !others.has(address))
  })
  if (differ.length > 0)
    warn(
      context,
      `layout classic: the Endpoints of ${countOf(differ.length, 'Service')} are used: their EndpointSlices are missing, or have other addresses`,
    )
}

/** Kinds that are named. */
const MOST_KINDS = 10

/** Opens what the options name, and closes it after its use, also when that fails. */
export async function withInput<T>(
  options: InputOptions,
  context: Context,
  use: (input: Input) => Promise<T>,
): Promise<T> {
  const input = await openInput(options, context)
  try {
    return await use(input)
  } finally {
    if (input.type === 'log') input.reader.close()
  }
}

/** Opens `--log FILE`, else POINTSMAN_LOG, for reading; the caller closes it. A CliError in one line when there is none. */
export function openLog(
  options: Pick<InputOptions, 'log'>,
  context: Context,
): { readonly path: string; readonly reader: ChangeLogReader } {
  const path = logPath(options, context)
  return { path, reader: openChangeLog(path) }
}

/** `--log`, else POINTSMAN_LOG; CliError USAGE where both are empty. */
export function logPath({ log }: Pick<InputOptions, 'log'>, { env }: Context): string {
  const path = log ?? env['POINTSMAN_LOG'] ?? ''
  if (path === '') {
    throw new CliError(
      'USAGE',
      'no log given: use --log FILE or set POINTSMAN_LOG; `pointsman import RECORDING --log FILE` creates one',
    )
  }
  return path
}

/** Says on standard error, before a log is written, who else can change it. A ChangeLogError where it cannot be there. */
export function warnOfOthers(path: string, context: Context): void {
  const why = whoElseCanWrite(path)
  if (why !== undefined)
    warn(context, `${path} can be modified by other users, so its contents may not be trusted (${why})`)
}

export const byteStream = (stdin: NodeJS.ReadableStream): AsyncIterable<Buffer | string> => stdin

/** As commander parses `--at` and `--applied`. */
export interface PointOptions {
  readonly at?: string
  readonly applied?: true
}

/** Adds `--at` and `--applied`. */
export const withPointOptions = (command: Command): Command =>
  command
    .option('--at <point>', `the point in time: ${POINT_FORMS}; default: the last record`)
    .option('--applied', 'the state that the last successful sync at or before that point programmed')

/** The objects that a question is about, and what the input knows besides. */
export interface AskedObjects {
  readonly objects: readonly KubernetesObject[]
  /** Those of `--objects`; absent with a log, which records none. */
  readonly pods?: readonly PodObject[]
  /** Absent without a log, as are the others below. */
  readonly seq?: Seq
  readonly point?: ResolvedPoint
  /** The configuration that an agent's log carries. */
  readonly logged?: JsonObject
  /** The node of that configuration, or of the log. */
  readonly configuredNode?: string
}

/** Looks up what there was at the point that is asked for. CliError USAGE for a point without a log, and as resolvePoint. */
export function askedObjects(input: Input, { at, applied }: PointOptions, context: Context): AskedObjects {
  if (input.type === 'objects') {
    if (at !== undefined || applied === true)
      throw new CliError('USAGE', '--at and --applied require a log: --objects has no history')
    return { objects: input.objects, pods: input.pods }
  }
  const point = resolvePoint({ reader: input.reader, text: at, applied })
  if (point.afterEnd !== undefined) {
    warn(context, `the log ends at ${formatTime(point.time ?? 0)}, before --at ${at ?? ''}: showing its last state`)
  }
  return objectsAtPoint(input.reader, point)
}

/** What there was at a point of a log. */
export function objectsAtPoint(reader: ChangeLogReader, point: ResolvedPoint): AskedObjects {
  const logged = reader.configAt(point.seq)
  const configured = logged?.['nodeName'] ?? reader.info().nodeName
  return {
    objects: reader.objectsAt(point.seq).objects,
    seq: point.seq,
    point,
    ...(logged !== undefined && { logged }),
    ...(typeof configured === 'string' && { configuredNode: configured }),
  }
}

/** `at seq 128, 2026-01-31T14:03:20.000Z`, or `from objects`. */
export function describeAsked({ point }: Pick<AskedObjects, 'point'>): string {
  if (point === undefined) return 'from objects'
  return `at seq ${point.seq}${point.time === undefined ? '' : `, ${formatTime(point.time)}`}`
}

type ListingReader = Pick<Dataplane, 'readListing' | 'listings'>

/** Rules of one family that were saved. */
interface SavedRules<Reader> {
  /** Of the file, for messages. */
  readonly name: string
  readonly rules: LoadedRules
  /** Whose they are. */
  readonly dataplane: Reader
}

interface SaveQuestion<Reader extends ListingReader> {
  readonly path: string
  /** Of several, the first that takes the text for its own reads it; else the first of all. */
  readonly dataplanes: readonly [Reader, ...Reader[]]
  /** Of the rules to choose where a directory has both. */
  readonly family?: IpFamily | undefined
}

/**
 * Reads a file, or standard input for `-`; of a directory or a tar archive the file that has rules. CliError BAD_INPUT for what is
 * no listing, or more than one, also when the rules are used.
 */
export async function readSave<Reader extends ListingReader>(
  { path, dataplanes, family }: SaveQuestion<Reader>,
  context: Pick<Context, 'stdin' | 'stderr' | 'errorStyle'>,
): Promise<SavedRules<Reader>> {
  const readerOf = (beginning: string): Reader | undefined =>
    dataplanes.find(({ listings }) => listings?.isListing(beginning) === true)
  const isWanted = (beginning: string): boolean => readerOf(beginning) !== undefined
  const found = findTexts(path, byteStream(context.stdin), { isWanted, maxBytes: MAX_SAVE_BYTES })
  const files: ListingFile[] = []
  for await (const file of found.texts) files.push(file)
  for (const problem of found.problems) warn(context, problem)
  const refuse = (message: string, options?: ErrorOptions): CliError => new CliError('BAD_INPUT', message, options)
  const [only] = files
  const isOfMany = found.lookedAt() > 0
  if (isOfMany && only === undefined)
    throw refuse(`${path}: none of its ${found.lookedAt()} files has rules: give what \`iptables-save\` prints`)
  const ofPath = (message: string): CliError => refuse(`${path}: ${message}`)
  const readers = files.map(({ text }) => readerOf(text.slice(0, BEGINNING)))
  const dataplane = dataplanes.find((one) => readers.includes(one)) ?? dataplanes[0]
  const own = isOfMany ? files.filter((_, at) => readers[at] === dataplane) : files
  const file = isOfMany ? dataplane.listings?.choose(own, { family, refuse: ofPath }) : only
  if (file === undefined) throw refuse(`${path} has no rules: give what \`iptables-save\` prints`)
  if (isOfMany) warn(context, `the rules are those of ${file.name}`)
  const { name, text } = file
  const refuseText = (message: string, options?: ErrorOptions): CliError => {
    const foreign = foreignTextOf(text)
    if (foreign === undefined || foreign.isRules === true) return refuse(message, options)
    return refuse(`${name} is ${foreign.what}: run \`iptables-save\` on the node, and give what it prints`, options)
  }
  return { name, dataplane, rules: await dataplane.readListing(text, { name, refuse: refuseText }) }
}

/** Characters by which a text is told from others. */
const BEGINNING = 65_536

// 10,000 Services of 15 endpoints take half of that.
export const MAX_SAVE_BYTES = 128 * 1024 * 1024
