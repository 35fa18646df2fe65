import { createIptablesBackend, type FamilyCleanup } from '@pointsman/backend-iptables'
import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import type { Command } from 'commander'
import { type Iptables, IptablesError } from 'node-iptables'
import { type Cleaned, cleanedText, cleanupDocument, dryCleanupLines } from '../cleanup/cleanup-report.js'
import type { Context } from '../context.js'
import { type VariantOptions, withVariantOption } from '../machine/iptables-option.js'
import { openInstalled } from '../machine/open-installed.js'
import { withProgress } from '../machine/with-progress.js'
import { parseFormat, writeDocument } from '../output/json.js'
import { outputOption } from '../output/output-option.js'
import { createProgress } from '../output/progress.js'
import { withExamples } from '../output/with-examples.js'
import { writePieces } from '../output/write-pieces.js'

export interface CleanupOptions extends VariantOptions {
  readonly dryRun?: true
  readonly output?: string
}

export function registerCleanup(program: Command, context: Context): void {
  const command = program
    .command('cleanup')
    .summary('remove every rule and chain of the proxy')
    .description(
      "Removes the proxy's rules and chains from the tables of this machine, or of the network namespace that it runs in: those of " +
        'Pointsman and of kube-proxy, which have the same names. Left are KUBE-FIREWALL, which kubelet uses too, and chains that ' +
        'rules of others lead to; these are named. It takes CAP_NET_ADMIN and, for iptables-legacy, CAP_NET_RAW.',
    )
    .option('--dry-run', 'print what would be restored to remove them, and change nothing')
    .addOption(outputOption(['text', 'json']))
    .action(async (options: CleanupOptions) => cleanup(options, context))
  withVariantOption(command, 'auto: each that is installed')
  withExamples(command, [
    'pointsman cleanup --dry-run',
    'pointsman cleanup',
    'pointsman cleanup --iptables-variant legacy   # after a move to nft',
  ])
}

export async function cleanup(options: CleanupOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const dryRun = options.dryRun === true
  const cleaned = await cleanAll(await openInstalled(options.iptablesVariant, context), { dryRun, context })
  if (cleaned === undefined) return
  if (format === 'json') writeDocument(context, cleanupDocument(cleaned, { dryRun }))
  else if (dryRun) await writePieces(dryCleanupLines(cleaned), context)
  else context.stdout.print(cleanedText(cleaned, context.style))
}

interface Way {
  readonly dryRun: boolean
  readonly context: Context
}

/** Undefined when it was interrupted. */
async function cleanAll(installed: readonly Iptables[], way: Way): Promise<readonly Cleaned[] | undefined> {
  const { context } = way
  const progress = createProgress(context)
  const cleaned: Cleaned[] = []
  let unsupported: unknown
  try {
    for (const iptables of installed) {
      context.interrupted.throwIfAborted()
      const families = await supported(cleanOne(withProgress(iptables, progress), way))
      if ('error' in families) unsupported = families.error
      else cleaned.push(...families.done.map((family) => ({ ...family, iptables })))
    }
  } catch (error) {
    if (!context.interrupted.aborted) throw error
    progress.end()
    context.stderr.print('interrupted: run it again to remove what is left')
    context.finish(130)
    return undefined
  } finally {
    progress.end()
  }
  if (cleaned.length === 0 && unsupported !== undefined) throw unsupported
  return cleaned
}

async function cleanOne(iptables: Iptables, { dryRun }: Way): Promise<readonly FamilyCleanup[]> {
  const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [iptables] })
  const plan = await backend.planCleanup()
  if (!dryRun) await backend.cleanup()
  return plan
}

/** A variant or family that this kernel lacks has nothing to remove. */
async function supported<Done>(attempt: Promise<Done>): Promise<{ readonly done: Done } | { readonly error: unknown }> {
  try {
    return { done: await attempt }
  } catch (error) {
    if (error instanceof IptablesError && error.code === 'NO_KERNEL_SUPPORT') return { error }
    throw error
  }
}
