import type { KubernetesObject } from '../../model/kubernetes-object.js'
import { fromLine } from './packed-version.js'

/**
 * The present version of each object by its id, while a log is read. Those used last are held as objects, the others as
 * text, a fifth of the size.
 */
export interface Versions {
  get(id: number): KubernetesObject | undefined
  set(id: number, object: KubernetesObject): void
  /** A line of a snapshot. */
  setLine(id: number, line: string): void
  delete(id: number): void
}

/** Objects of a generation: two of them take some 40 MB. */
const GENERATION = 4096

export function createVersions(): Versions {
  const lines = new Map<number, string>()
  // Two generations: what was not asked for in one whole generation falls back to text.
  let young = new Map<number, KubernetesObject>()
  let old = new Map<number, KubernetesObject>()

  const put = (id: number, object: KubernetesObject): void => {
    young.set(id, object)
    if (young.size < GENERATION) return
    for (const [oldId, oldObject] of old) {
      if (!young.has(oldId) && !lines.has(oldId)) lines.set(oldId, JSON.stringify(oldObject))
    }
    old = young
    young = new Map()
  }

  const forget = (id: number): void => {
    lines.delete(id)
    old.delete(id)
    young.delete(id)
  }

  const peek = (id: number): KubernetesObject | undefined => {
    const held = young.get(id) ?? old.get(id)
    if (held !== undefined) return held
    const line = lines.get(id)
    return line === undefined ? undefined : fromLine(line, id)
  }

  return {
    get(id) {
      const object = peek(id)
      if (object !== undefined && !young.has(id)) put(id, object)
      return object
    },
    set(id, object) {
      lines.delete(id)
      put(id, object)
    },
    setLine(id, line) {
      forget(id)
      lines.set(id, line)
    },
    delete: forget,
  }
}
