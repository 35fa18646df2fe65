import type { CleanedFamily } from '@pointsman/core'
import type { Command } from 'commander'
import { cleanedText, cleanupDocument, dryCleanupLines } from '../cleanup/cleanup-report.js'
import type { Context } from '../context.js'
import { type VariantOptions, withVariantOption } from '../machine/iptables-option.js'
import { machineOf } from '../machine/open-machine.js'
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
      "Removes the proxy's rules and chains from the tables of this machine, or of the network namespace it runs in: those of " +
        'Pointsman and of kube-proxy, which have the same names. Keeps KUBE-FIREWALL, which kubelet shares, and chains that ' +
        'external rules jump to, and lists the latter. Requires CAP_NET_ADMIN and, for iptables-legacy, CAP_NET_RAW.',
    )
    .option('--dry-run', 'print the restores that would remove them, and change nothing')
    .addOption(outputOption(['text', 'json']))
    .action(async (options: CleanupOptions) => cleanup(options, context))
  withVariantOption(command, 'auto: every installed variant')
  withExamples(command, [
    'pointsman cleanup --dry-run',
    'pointsman cleanup',
    'pointsman cleanup --iptables-variant legacy   # after a move to nft',
  ])
}

export async function cleanup(options: CleanupOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const dryRun = options.dryRun === true
  const cleaned = await cleanAll(options, context)
  if (cleaned === undefined) return
  if (format === 'json') writeDocument(context, cleanupDocument(cleaned, { dryRun }))
  else if (dryRun) await writePieces(dryCleanupLines(cleaned), context)
  else context.stdout.print(cleanedText(cleaned, context.style))
}

/** Undefined when it was interrupted. */
async function cleanAll(options: CleanupOptions, context: Context): Promise<readonly CleanedFamily[] | undefined> {
  const progress = createProgress(context)
  const { iptablesVariant, dryRun = false } = options
  const machine = machineOf(context, { progress })
  const cleaned: CleanedFamily[] = []
  let missing: unknown
  try {
    for (const dataplane of context.dataplanes) {
      try {
        cleaned.push(...(await dataplane.cleanup({ choices: { iptablesVariant }, dryRun }, machine)))
      } catch (error) {
        // A data plane whose tools are not installed has no rules here.
        if (!isNotFound(error)) throw error
        missing = error
      }
    }
  } catch (error) {
    if (!context.interrupted.aborted) throw error
    progress.end()
    context.stderr.print('interrupted: run it again to remove the remaining rules')
    context.finish(130)
    return undefined
  } finally {
    progress.end()
  }
  if (cleaned.length === 0 && missing !== undefined) throw missing
  return cleaned
}

const isNotFound = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'NOT_FOUND'
