import type { State } from '@pointsman/core'

/** The part of a state that packets are answered from. */
export type InForce = Pick<State, 'services' | 'endpoints'> & {
  readonly node?: State['node'] | undefined
}
