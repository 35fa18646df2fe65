import { Command } from 'commander'
import { registerApply } from './commands/apply.js'
import { registerAudit } from './commands/audit.js'
import { registerBisect } from './commands/bisect.js'
import { registerBlame } from './commands/blame.js'
import { registerCleanup } from './commands/cleanup.js'
import { registerCompletion } from './commands/completion.js'
import { registerDemo } from './commands/demo.js'
import { registerDiff } from './commands/diff.js'
import { registerExplain } from './commands/explain.js'
import { registerExport } from './commands/export.js'
import { registerImport } from './commands/import.js'
import { registerLog } from './commands/log.js'
import { registerRecord } from './commands/record.js'
import { registerRender } from './commands/render.js'
import { registerReplay } from './commands/replay.js'
import { registerRules } from './commands/rules.js'
import { registerRun } from './commands/run.js'
import { registerServices } from './commands/services.js'
import { registerTrace } from './commands/trace.js'
import type { Context } from './context.js'
import { withExamples } from './output/with-examples.js'

/** The whole command line. Parsing throws CommanderError where commander would have ended the process. */
export function createProgram(context: Context, version: string): Command {
  const program = new Command('pointsman')
    .description('Records what a Kubernetes service proxy sees and does, and answers what happened, when, and why.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      getOutHelpWidth: () => context.stdout.columns ?? 100,
      getErrHelpWidth: () => context.stderr.columns ?? 100,
      getOutHasColors: () => context.style.enabled,
      getErrHasColors: () => context.errorStyle.enabled,
      // commander puts its suggestion on a line of its own; an error is one line.
      outputError: (message, write) =>
        write(`${context.errorStyle.red('error:')} ${oneLine(message)}; --help has examples\n`),
    })
    .exitOverride()
  for (const register of COMMANDS) register(program, context)
  return withExamples(program, [
    'pointsman demo',
    'pointsman import watch.jsonl --log shop.db',
    'pointsman services --log shop.db --at 14:03',
  ])
}

/** In the order of the help text. */
const COMMANDS = [
  registerRun,
  registerRecord,
  registerImport,
  registerExport,
  registerReplay,
  registerLog,
  registerServices,
  registerExplain,
  registerRules,
  registerDiff,
  registerBlame,
  registerRender,
  registerApply,
  registerCleanup,
  registerTrace,
  registerBisect,
  registerAudit,
  registerDemo,
  registerCompletion,
]

const oneLine = (message: string): string =>
  message
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '')
