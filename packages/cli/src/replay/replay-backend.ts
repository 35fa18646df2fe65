import { createMockBackend } from '@pointsman/backend-mock'
import type { Backend, ProxyConfig, State } from '@pointsman/core'
import { type Context, modesOf } from '../context.js'
import { checkLayout } from '../input/ruleset-options.js'
import { openBackend, type MachineOptions } from '../machine/open-machine.js'

/** The backends that a replay can have, in the order of the help text: mock, each data plane, none. The first is the default. */
export const replayBackends = (context: Pick<Context, 'dataplanes'>): readonly string[] => [
  'mock',
  ...modesOf(context),
  'none',
]

export interface BackendQuestion {
  /** The last state of the replay: which node it is, and what families it has. */
  readonly state: State
  readonly config: ProxyConfig
}

/** What the syncs of a replay go to; undefined: nowhere. */
export async function replayBackend(
  name: string,
  question: BackendQuestion,
  { options, context }: { readonly options: MachineOptions; readonly context: Context },
): Promise<Backend | undefined> {
  const { state, config } = question
  if (name === 'mock') return createMockBackend({ config })
  if (name === 'none') return undefined
  checkLayout(options, config)
  return (await openBackend({ state, config: { ...config, mode: name } }, options, context)).backend
}
