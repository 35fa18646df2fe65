import type { ServicePortName } from '../model/names.js'
import type { RefusedService } from './backend.js'

/** Why service ports could not be programmed together. */
export interface RefusedAttempt {
  readonly error: Error
  /** Those of the names that what was refused points to; undefined: it points to none. */
  readonly suspectIn: (names: readonly ServicePortName[]) => ServicePortName | undefined
}

/** Programs these service ports in one go. Answers why it was refused; then they keep the rules that they had. */
export type Attempt = (names: readonly ServicePortName[]) => Promise<RefusedAttempt | undefined>

/** How many more may be refused one by one before the rest is left for another sync. */
export interface RefusalBudget {
  tries: number
}

/** Each costs a process, and so many have one cause in common. */
const MAX_REFUSED = 20

export const newRefusalBudget = (): RefusalBudget => ({ tries: MAX_REFUSED })

/** The service ports whose rules are refused, and the search for them. */
export interface RefusedServices {
  /** The one that was tried longest ago comes first. */
  readonly list: () => readonly RefusedService[]
  readonly names: () => readonly ServicePortName[]
  readonly has: (name: ServicePortName) => boolean
  readonly refuse: (name: ServicePortName, error: Error) => void
  /** They are programmed, or gone. */
  readonly accept: (names: Iterable<ServicePortName>) => void
  readonly forget: () => void
  /** Programs what was refused together, for `cause`, in smaller and smaller groups, until all are but those that are refused each by itself. */
  readonly putInGroups: (
    names: readonly ServicePortName[],
    cause: RefusedAttempt,
    work: { readonly attempt: Attempt; readonly budget: RefusalBudget },
  ) => Promise<void>
  /**
   * Tries service ports that were refused before, one by one, so that they hold up no other. Once one is accepted, the cause may be gone for
   * all: the rest is `put` together.
   */
  readonly tryAgain: (
    names: readonly ServicePortName[],
    work: {
      readonly attempt: Attempt
      readonly put: (names: readonly ServicePortName[]) => Promise<void>
      readonly budget: RefusalBudget
    },
  ) => Promise<void>
}

export function createRefusedServices(): RefusedServices {
  const refused = new Map<ServicePortName, Error>()
  const refuse = (name: ServicePortName, error: Error): void => {
    refused.delete(name)
    refused.set(name, error)
  }
  return {
    list: () => [...refused].map(([owner, error]) => ({ owner, error })),
    names: () => [...refused.keys()],
    has: (name) => refused.has(name),
    refuse,
    accept(names) {
      for (const name of names) refused.delete(name)
    },
    forget: () => refused.clear(),
    async putInGroups(names, cause, { attempt, budget }) {
      const groups = [...splitGroup(names, cause)]
      for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
        if (budget.tries === 0) {
          for (const name of [...groups.flat(), ...group]) refuse(name, notTried(cause.error))
          return
        }
        const refusal = await attempt(group)
        if (refusal === undefined) continue
        const [name] = group
        if (group.length > 1) groups.push(...splitGroup(group, refusal))
        else if (name !== undefined) {
          refuse(name, refusal.error)
          budget.tries -= 1
        }
      }
    },
    async tryAgain(names, { attempt, put, budget }) {
      for (const [at, name] of names.entries()) {
        if (budget.tries === 0) return
        const refusal = await attempt([name])
        if (refusal === undefined && !refused.has(name)) return put(names.slice(at + 1))
        budget.tries -= 1
        if (refusal !== undefined) refuse(name, refusal.error)
      }
    },
  }
}

/** Two groups, of which the second is tried first: all but the suspect, where there is one. */
function splitGroup(
  names: readonly ServicePortName[],
  { suspectIn }: RefusedAttempt,
): readonly (readonly ServicePortName[])[] {
  const suspect = suspectIn(names)
  const half = Math.ceil(names.length / 2)
  const parts =
    suspect === undefined
      ? [names.slice(half), names.slice(0, half)]
      : [[suspect], names.filter((name) => name !== suspect)]
  return parts.filter(({ length }) => length > 0)
}

const notTried = (cause: Error): Error =>
  new Error(`not tried, after ${MAX_REFUSED} other service ports were refused: ${cause.message}`, { cause })
