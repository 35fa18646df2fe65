import type { KubernetesObject } from '../../model/kubernetes-object.js'

/**
 * The present version of each object by its id. Most are held as text, a fifth of the size of the object; those used
 * last are held as objects too, so that a service that is being rolled out is not parsed anew at each step.
 */
export interface Versions {
  get(id: number): KubernetesObject | undefined
  set(id: number, object: KubernetesObject): void
  setText(id: number, text: string): void
  delete(id: number): void
  has(id: number): boolean
  /** In order. */
  ids(): readonly number[]
  /** In order of id. */
  entries(): Iterable<readonly [id: number, text: string]>
}

export function createVersions({ parsed: limit = 1024 }: { readonly parsed?: number } = {}): Versions {
  const texts = new Map<number, string>()
  // Two generations: what was not asked for in one whole generation falls back to text.
  let young = new Map<number, KubernetesObject>()
  let old = new Map<number, KubernetesObject>()

  const put = (id: number, object: KubernetesObject): void => {
    young.set(id, object)
    if (young.size < limit) return
    for (const [id, object] of old) if (!young.has(id) && !texts.has(id)) texts.set(id, JSON.stringify(object))
    old = young
    young = new Map()
  }

  const find = (id: number): KubernetesObject | undefined => {
    const found = young.get(id)
    if (found !== undefined) return found
    const text = texts.get(id)
    const object = old.get(id) ?? (text === undefined ? undefined : (JSON.parse(text) as KubernetesObject))
    if (object !== undefined) put(id, object)
    return object
  }

  const forget = (id: number): void => {
    texts.delete(id)
    old.delete(id)
    young.delete(id)
  }

  const ids = (): readonly number[] =>
    [...new Set([...young.keys(), ...old.keys(), ...texts.keys()])].sort((a, b) => a - b)

  return {
    get: find,
    set(id, object) {
      texts.delete(id)
      put(id, object)
    },
    setText(id, text) {
      forget(id)
      texts.set(id, text)
    },
    delete: forget,
    has: (id) => young.has(id) || old.has(id) || texts.has(id),
    ids,
    *entries() {
      for (const id of ids()) {
        const text = texts.get(id) ?? JSON.stringify(young.get(id) ?? old.get(id))
        yield [id, text]
      }
    },
  }
}
