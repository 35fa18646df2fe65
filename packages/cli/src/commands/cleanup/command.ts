import type { CleanedFamily, LeftChain, ModeLeftovers } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../../context.js'
import { withVariantOption, type VariantOptions } from '../../input/rules-question.js'
import { machineOf } from '../../machine/open-machine.js'
import { countOf, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, toolJson, writeDocument, writePieces } from '../../output/json.js'
import { createProgress } from '../../output/progress.js'
import {
  documentHead,
  flag,
  integer,
  listOf,
  objectOf,
  oneOf,
  oneOfNames,
  optional,
  required,
  text,
  type DocumentJson,
} from '../../output/schema.js'
import type { Style } from '../../output/terminal.js'

const chain = objectOf('Chain', {
  table: required(text, 'the table'),
  chain: required(text, 'the chain'),
})

const left = objectOf('Left', {
  table: required(text, 'the table'),
  chain: required(
    text,
    'the chain: as it was where `becauseOf` is empty, which is KUBE-FIREWALL; else without its rules',
  ),
  becauseOf: required(listOf(text), 'the rules that lead to it and are not ours, as iptables-save prints them'),
})

const tables = objectOf('Tables', {
  family: required(oneOf('IPv4', 'IPv6'), 'of which tables'),
  variant: optional(oneOfNames('nft', 'legacy'), 'of which variant of iptables; absent in mode nftables'),
  iptables: optional(text, 'its version; absent in mode nftables'),
  nft: optional(text, 'the version of nft(8); absent in mode iptables'),
  removedRules: required(integer, "rules that were removed, the jumps from the kernel's chains included"),
  removedChains: required(listOf(chain), 'chains that were removed'),
  left: required(listOf(left), 'chains that were not'),
})

const otherModes = objectOf('OtherModes', {
  removed: required(listOf(text), 'what was removed: virtual servers, an interface, ipsets'),
  left: required(listOf(text), 'what could not be removed, and why'),
})

/** What `pointsman cleanup -o json` prints. */
export const cleanupSummary = objectOf('CleanupSummary', {
  ...documentHead('CleanupSummary'),
  dryRun: required(flag, 'true: nothing was changed, and this is what would be'),
  items: required(listOf(tables), 'the tables of each family and variant that was looked at'),
  otherModes: required(otherModes, "what kube-proxy's ipvs mode left besides rules"),
})
type CleanupSummaryJson = DocumentJson<typeof cleanupSummary>

interface CleanupOptions extends VariantOptions {
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
        'external rules jump to, and lists the latter. Removes what the ipvs mode left, too: virtual servers, kube-ipvs0 and ipsets. Requires CAP_NET_ADMIN and, for iptables-legacy, CAP_NET_RAW.',
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
  const others = await cleanOtherModes(dryRun, context)
  for (const left of others.left) warn(context, `not removed: ${left}`)
  if (format === 'json') writeDocument(context, cleanupDocument(cleaned, { dryRun, others }))
  else if (dryRun) {
    await writePieces(dryCleanupLines(cleaned), context)
    for (const what of others.removed) context.stdout.print(`# would remove ${what}`)
  } else {
    context.stdout.print(cleanedText(cleaned, context.style))
    for (const what of others.removed) context.stdout.print(`${context.style.bold('removed')} ${what}`)
  }
}

/** What kube-proxy's ipvs mode left: virtual servers, its interface, ipsets. */
async function cleanOtherModes(dryRun: boolean, context: Context): Promise<ModeLeftovers> {
  const removed: string[] = []
  const left: string[] = []
  for (const dataplane of context.dataplanes) {
    const found = await dataplane.cleanupOtherModes?.({ dryRun }, machineOf(context))
    removed.push(...(found?.removed ?? []))
    left.push(...(found?.left ?? []))
  }
  return { removed, left }
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

/** What was removed, and what was left and why: a line each. Where there was nothing, that is said once. */
function cleanedText(all: readonly CleanedFamily[], style: Style): readonly string[] {
  const told = all.filter((cleaned) => !hasNothing(cleaned) || cleaned.left.length > 0)
  if (told.length === 0) return [`nothing to remove: ${all.map(place).join('; ')}`]
  return told.flatMap((cleaned) => [
    hasNothing(cleaned)
      ? `nothing to remove: ${place(cleaned)}`
      : `${style.bold(`removed ${amount(cleaned)}`)}: ${place(cleaned)}`,
    ...cleaned.left.flatMap(({ table, chain, becauseOf }) => [
      `  ${style.yellow(`left ${table} ${chain}`)}, ${reason(becauseOf)}`,
      ...becauseOf.map((rule) => `    ${rule}`),
    ]),
  ])
}

/** What would be given to the tool, with the rest as comments. */
function* dryCleanupLines(all: readonly CleanedFamily[]): Generator<string, void, undefined> {
  for (const cleaned of all) {
    yield hasNothing(cleaned)
      ? `# nothing to remove: ${place(cleaned)}`
      : `# would remove ${amount(cleaned)}: ${place(cleaned)}`
    for (const { table, chain, becauseOf } of cleaned.left) {
      yield `#   would leave ${table} ${chain}, ${reason(becauseOf)}`
      for (const rule of becauseOf) yield `#     ${rule}`
    }
    yield* cleaned.lines
  }
}

const cleanupDocument = (
  all: readonly CleanedFamily[],
  { dryRun, others }: { readonly dryRun: boolean; readonly others: ModeLeftovers },
): CleanupSummaryJson => ({
  kind: 'CleanupSummary',
  dryRun,
  items: all.map(({ family, tool, removedRules, removedChains, left }) => ({
    family,
    ...toolJson(tool),
    removedRules,
    removedChains,
    left,
  })),
  otherModes: others,
})

const hasNothing = ({ lines }: CleanedFamily): boolean => lines.length === 0

const amount = ({ removedRules, removedChains }: CleanedFamily): string =>
  `${countOf(removedRules, 'rule')} and ${countOf(removedChains.length, 'chain')}`

const place = ({ family, tool }: CleanedFamily): string => `${family}, ${tool.name}`

const reason = (becauseOf: LeftChain['becauseOf']): string =>
  becauseOf.length === 0
    ? 'as it is, with the jumps to it: kubelet uses it too'
    : 'empty: it can be deleted once no rule of others leads to it'
