import { type Endpoint, isEqual, type Seq, type ServicePort } from '@pointsman/core'

/** A value with the event that brought it; `at` in milliseconds of the observer's clock, which is not set. */
export interface Dated<Value> {
  readonly value: Value
  readonly seq: Seq
  readonly at: number
}

/** Of one service port: what may be in force, the oldest first. */
export interface Versions {
  /** Undefined: the Service has no such port. */
  ports: readonly Dated<ServicePort | undefined>[]
  endpoints: readonly Dated<readonly Endpoint[]>[]
  /** Some were dropped, because there were too many. */
  isCut: boolean
  /** Not all of them have the same rules. Absent: that was not looked at. */
  differs?: boolean
}

export interface Candidate {
  readonly port: ServicePort | undefined
  readonly endpoints: readonly Endpoint[]
}

/** Of one service port, in flight at once. */
export const MAX_VERSIONS = 64

export function withVersion<Value>(before: readonly Dated<Value>[], next: Dated<Value>): readonly Dated<Value>[] {
  return isEqual(before.at(-1)?.value, next.value) ? before : [...before, next]
}

/** The oldest, which was seen in force, and the newest. */
export const bounded = <Value>(list: readonly Dated<Value>[]): readonly Dated<Value>[] =>
  list.length <= MAX_VERSIONS ? list : [...list.slice(0, 1), ...list.slice(2 - MAX_VERSIONS)]

export interface Split<Value> {
  /** From the oldest on that is the same as the one in force: the proxy may have been there, and go on from there. */
  readonly possible: readonly Dated<Value>[]
  /** The one after the newest that is the same. */
  readonly next: Dated<Value> | undefined
}

export function split<Value>(list: readonly Dated<Value>[], value: Value): Split<Value> {
  const first = list.findIndex((one) => isEqual(one.value, value))
  const last = list.findLastIndex((one) => isEqual(one.value, value))
  return { possible: list.slice(Math.max(0, first)), next: last < 0 ? undefined : list[last + 1] }
}

/** Each version of the Service with each of the endpoints, the newest first. */
export function candidatesOf({ ports, endpoints }: Pick<Versions, 'ports' | 'endpoints'>): readonly Candidate[] {
  const [newestPorts, newestLists] = [distinct(ports), distinct(endpoints)]
  return newestPorts
    .flatMap((port, age) =>
      (port === undefined ? newestLists.slice(0, 1) : newestLists).map((list, ageOfList) => ({
        candidate: { port, endpoints: list },
        age: age + ageOfList,
      })),
    )
    .toSorted((a, b) => a.age - b.age)
    .map(({ candidate }) => candidate)
}

export function distinct<Value>(list: readonly Dated<Value>[]): readonly Value[] {
  const values = list.toReversed().map(({ value }) => value)
  return values.filter((value, index) => values.findIndex((other) => isEqual(other, value)) === index)
}
