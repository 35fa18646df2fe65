import type { JsonObject, KubernetesObject, Seq } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { formatTime } from '../output/json.js'
import type { Input } from './open-input.js'
import { POINT_FORMS } from './parse-point.js'
import { resolvePoint, type ResolvedPoint } from './point-in-time.js'

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
    return { objects: input.objects }
  }
  const { reader } = input
  const point = resolvePoint({ reader, text: at, applied })
  if (point.afterEnd !== undefined) {
    warn(context, `the log ends at ${formatTime(point.time ?? 0)}, before --at ${at ?? ''}: showing its last state`)
  }
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
