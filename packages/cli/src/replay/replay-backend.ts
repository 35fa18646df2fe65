import { createMockBackend } from '@pointsman/backend-mock'
import type { Backend, ProxyConfig, State } from '@pointsman/core'
import type { Context } from '../context.js'
import { checkLayout } from '../input/ruleset-options.js'
import { openBackend, type MachineOptions } from '../machine/open-machine.js'

/** In the order of the help text; the first is the default. */
export const REPLAY_BACKENDS = ['mock', 'iptables', 'none'] as const
export type ReplayBackend = (typeof REPLAY_BACKENDS)[number]

export interface BackendQuestion {
  /** The last state of the replay: which node it is, and what families it has. */
  readonly state: State
  readonly config: ProxyConfig
}

/** What the syncs of a replay go to; undefined: nowhere. */
export async function replayBackend(
  name: ReplayBackend,
  question: BackendQuestion,
  { options, context }: { readonly options: MachineOptions; readonly context: Context },
): Promise<Backend | undefined> {
  switch (name) {
    case 'mock':
      return createMockBackend({ config: question.config })
    case 'iptables':
      checkLayout(options, question.config)
      return (await openBackend(question, options, context)).backend
    case 'none':
      return undefined
  }
}
