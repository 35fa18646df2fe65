import { compareResourceVersions, type JsonObject, type KubernetesObject } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { labelOf } from './parse-watch-event.js'

/** A Pod as the API serves it. Only its name is checked; every other field may be absent or of a wrong type. */
export interface PodObject extends JsonObject {
  readonly kind: 'Pod'
  readonly metadata: JsonObject & { readonly name: string; readonly namespace: string }
}

/** How an object came. */
export interface VersionOrigin {
  readonly isEvent: boolean
  /** The event says that it is gone. */
  readonly isDeleted: boolean
}

interface NewestVersions {
  readonly take: (object: KubernetesObject | PodObject, origin: VersionOrigin) => void
  readonly end: () => {
    /** Each once, in the order in which they first came. */
    readonly objects: readonly KubernetesObject[]
    readonly pods: readonly PodObject[]
    /** What was there more than once, a sentence each. */
    readonly repeats: readonly string[]
  }
}

interface Version {
  readonly object: KubernetesObject | PodObject
  readonly isDeleted: boolean
  /** How often it was there, and what decided; absent: it was an event of a watch, of which there are many, or there once. */
  readonly repeat?: { readonly times: number; readonly by: 'resourceVersion' | 'place' | 'equal' }
}

/**
 * Keeps one version of each object: the newest by resourceVersion, else the last. An object is often there twice: in several
 * files of one dump, in what `kubectl get --watch -o json` printed, or in a manifest beside what the API served.
 */
export function newestVersions(): NewestVersions {
  const versions = new Map<string, Version>()
  let events = 0
  return {
    take: (object, { isDeleted, isEvent }) => {
      if (isEvent) events += 1
      const { kind, metadata } = object
      const key = JSON.stringify([kind, metadata.namespace, metadata.name])
      const known = versions.get(key)
      if (known === undefined) return void versions.set(key, { object, isDeleted })
      const order = compareResourceVersions(versionOf(object), versionOf(known.object))
      const isEqual = (order === 0 || order === undefined) && JSON.stringify(object) === JSON.stringify(known.object)
      const by = isEqual ? 'equal' : order === 0 || order === undefined ? 'place' : 'resourceVersion'
      const times = (known.repeat?.times ?? 1) + 1
      const before = known.repeat?.by ?? 'equal'
      // An end has the version of what it ends, or a later one.
      const isNewer = order === undefined || order >= 0
      versions.set(key, {
        ...(isNewer ? { object, isDeleted } : known),
        ...(!isEvent && { repeat: { times, by: by === 'equal' ? before : by } }),
      })
    },
    end: () => {
      const left = [...versions.values()].filter(({ isDeleted }) => !isDeleted)
      const objects: KubernetesObject[] = []
      const pods: PodObject[] = []
      for (const { object } of left) {
        if (object.kind === 'Pod') pods.push(object)
        else objects.push(object)
      }
      const ofEvents =
        events === 0
          ? []
          : [`${events} events of a watch: the last state of each object is used (\`pointsman import\` keeps all)`]
      return { objects, pods, repeats: [...ofEvents, ...repeatLines(left)] }
    },
  }
}

function versionOf({ metadata }: KubernetesObject | PodObject): string {
  const { resourceVersion } = metadata
  return typeof resourceVersion === 'string' ? resourceVersion : ''
}

/** Objects that are named. */
const MOST_REPEATS = 5

function repeatLines(versions: readonly Version[]): readonly string[] {
  const repeated = versions.filter(({ repeat }) => repeat !== undefined)
  const different = repeated.filter(({ repeat }) => repeat?.by !== 'equal')
  const equal = repeated.length - different.length
  const more = different.length - MOST_REPEATS
  return [
    ...different.slice(0, MOST_REPEATS).map(repeatLine),
    ...(more > 0
      ? [`${more} more objects are given several times, with different content: the newest of each is used`]
      : []),
    ...(equal > 0
      ? [`${equal === 1 ? '1 object is' : `${equal} objects are`} given several times, equal each time`]
      : []),
  ]
}

function repeatLine({ object, repeat }: Version): string {
  const times = repeat?.times === 2 ? 'twice' : `${repeat?.times ?? 0} times`
  const which =
    repeat?.by === 'place'
      ? 'and no resourceVersion says which is the newest: the last one is used'
      : `with different content: the newest is used (resourceVersion ${printable(versionOf(object), 40)})`
  return `${labelOf(object)} is given ${times}, ${which}`
}
