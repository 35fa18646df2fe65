import { prepareNode } from '@pointsman/backend-iptables'
import type { AgentConfig } from '@pointsman/core'
import { runProcess } from 'node-iptables'
import { type Context, warn } from '../context.js'
import { machineFiles } from './machine-files.js'
import { applyMachineSettings } from './machine-settings.js'

/** --init-only: sets what takes more than CAP_NET_ADMIN, so that the agent itself can do with less, and says what it set. */
export async function initializeMachine(config: AgentConfig, context: Context): Promise<void> {
  const { changes, warnings } = await applyMachineSettings(config, machineFiles())
  const { proxy } = config
  const prepared = await prepareNode({
    run: runProcess,
    config: proxy,
    families: proxy.families,
    signal: context.interrupted,
  })
  for (const warning of [...warnings, ...prepared.warnings]) warn(context, warning)
  for (const { path, from, to } of changes) context.stdout.print(`${path}: ${from} -> ${to}`)
}
