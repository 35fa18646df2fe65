import type { AgentConfig } from '@pointsman/core'
import { type Context, dataplaneOf, warn } from '../context.js'
import { machineOf } from '../machine/open-machine.js'
import { machineFiles } from './machine-files.js'
import { applyMachineSettings } from './machine-settings.js'

/** --init-only: sets what takes more than CAP_NET_ADMIN, so that the agent itself can do with less, and says what it set. */
export async function initializeMachine(config: AgentConfig, context: Context): Promise<void> {
  const { changes, warnings } = await applyMachineSettings(config, machineFiles())
  const { proxy } = config
  const prepared = await dataplaneOf(context, proxy).prepare(
    { config: proxy, families: proxy.families },
    machineOf(context),
  )
  for (const warning of [...warnings, ...prepared]) warn(context, warning)
  for (const { path, from, to } of changes) context.stdout.print(`${path}: ${from} -> ${to}`)
}
