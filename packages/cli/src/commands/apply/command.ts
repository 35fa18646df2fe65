import { NO_SEQ, ServicesRefusedError } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, dataplaneOf, warn } from '../../context.js'
import { CliError } from '../../errors.js'
import { askedObjects, type InputOptions, openInput, withObjectsOption } from '../../input/open-input.js'
import { withConfigOptions } from '../../input/proxy-config.js'
import {
  ON_THIS_MACHINE,
  rulesQuestion,
  type RulesQuestion,
  type RulesQuestionOptions,
  type VariantOptions,
  withRulesetOptions,
  withVariantOption,
} from '../../input/rules-question.js'
import { openBackend, type OpenedBackend } from '../../machine/open-machine.js'
import { warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument, writePieces } from '../../output/json.js'
import {
  type Applied,
  appliedDocument,
  appliedText,
  dryRunDocument,
  dryRunLines,
  leftTexts,
  type Target,
} from './report.js'

interface ApplyOptions extends Pick<InputOptions, 'objects'>, RulesQuestionOptions, VariantOptions {
  readonly dryRun?: true
  readonly output?: string
}

export function registerApply(program: Command, context: Context): void {
  const command = program
    .command('apply [files...]')
    .summary('program the rules for objects into the kernel, once')
    .description(
      'Writes the rules for the objects in FILES (YAML or JSON, - for standard input) to the tables of this machine, or of the ' +
        'network namespace it runs in, and exits. Changes no chains or rules of other programs. Requires CAP_NET_ADMIN and, for ' +
        'iptables-legacy, CAP_NET_RAW. To remove the rules, run `pointsman cleanup`.',
    )
    .option('--node <name>', "write this node's rules (default: the configured node, else the only Node)")
    .option('--dry-run', 'print the restores instead of running them')
    .addOption(outputOption(['text', 'json']))
    .action(async (files: readonly string[], options: ApplyOptions) => apply(files, options, context))
  withVariantOption(command, 'auto: the variant this node uses')
  withRulesetOptions(command, ON_THIS_MACHINE)
  withExamples(withConfigOptions(withObjectsOption(command)), [
    'pointsman apply objects.yaml --config kube-proxy.yaml --dry-run',
    'kubectl get services,endpointslices,nodes -A -o json | pointsman apply - --node node-a --cluster-cidr 10.244.0.0/16',
    'ip netns exec lab pointsman apply objects.json --config kube-proxy.yaml',
  ])
}

async function apply(files: readonly string[], options: ApplyOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, ['text', 'json'])
  const objects = [...files, ...(options.objects ?? [])]
  if (objects.length === 0) {
    throw new CliError(
      'USAGE',
      'no objects given: give FILES, or - for the output of `kubectl get services,endpointslices,nodes -A -o json`',
    )
  }
  const asked = askedObjects(
    await openInput({ ...(options.layout !== undefined && { layout: options.layout }), objects }, context),
    {},
    context,
  )
  const question = await rulesQuestion(asked, options, context)
  warnOfDiagnostics(question.diagnostics, '`pointsman services --wide --objects FILE` lists them', context)
  const machine = await openBackend(question, options, context)
  const target = targetOf(machine, question)
  if (options.dryRun !== true) {
    const applied = await applyTo(machine, target, { question, context })
    if (applied === undefined) return
    for (const text of leftTexts(applied.left, dataplaneOf(context, question.config))) warn(context, text)
    if (format === 'json') writeDocument(context, appliedDocument(applied))
    else context.stdout.print(appliedText(applied, context.style))
    const { refused } = applied.result
    if (refused.length > 0) throw new ServicesRefusedError(refused)
    return
  }
  const restores = await machine.backend.dryRun(question.state)
  machine.settle()
  for (const step of machine.skipped) context.stderr.print(`would also ${step}`)
  if (format === 'json') writeDocument(context, dryRunDocument(target, restores))
  else await writePieces(dryRunLines(restores), context)
}

function targetOf({ tool, families }: OpenedBackend, { state }: RulesQuestion): Target {
  const servicePorts = [...state.services.values()].filter(({ family }) => families.includes(family)).length
  return { node: state.node?.name, tool, families, servicePorts }
}

/** Undefined when it was interrupted. */
async function applyTo(
  { backend, left, flows, settle }: OpenedBackend,
  target: Target,
  { question: { state }, context }: { readonly question: RulesQuestion; readonly context: Context },
): Promise<Applied | undefined> {
  const startedAt = context.now()
  try {
    const request = { state, changed: 'all', fromSeq: NO_SEQ, toSeq: NO_SEQ } as const
    const result = await backend.sync(request, context.interrupted)
    const durationMs = context.now() - startedAt
    await backend.close()
    return { ...target, result, durationMs, left, flows }
  } catch (error) {
    if (!context.interrupted.aborted) throw error
    settle()
    context.stderr.print('interrupted: some service ports are not programmed yet; run it again to finish')
    context.finish(130)
    return undefined
  } finally {
    settle()
    await backend.close()
  }
}
