import { Command } from 'commander'
import type { Context } from './context.js'
import { withExamples } from './output/format-text.js'

/** The command line, as far as these words need it. Parsing throws CommanderError where commander would have ended the process. */
export async function createProgram(argv: readonly string[], version: string, context: Context): Promise<Command> {
  const program = new Command('pointsman')
    .description(
      'A kube-proxy replacement that records every change it sees and every rule it writes, and a debugger for Kubernetes Services.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .showSuggestionAfterError(true)
    .configureOutput({
      // Help is commander's layout of our own texts, and so has ends of lines; what it says of the words given comes to outputError.
      writeOut: (text) => void context.stdout.print(linesOf(text)),
      writeErr: (text) => void context.stderr.print(linesOf(text)),
      getOutHelpWidth: () => context.stdout.columns ?? 100,
      getErrHelpWidth: () => context.stderr.columns ?? 100,
      getOutHasColors: () => context.style.enabled,
      getErrHasColors: () => context.errorStyle.enabled,
      // commander puts its suggestion on a line of its own; an error is one line.
      outputError: (message) =>
        void context.stderr.print(`${context.errorStyle.red('error:')} ${oneLine(message)}; --help has examples`),
    })
    .exitOverride()
  for (const register of await commandsFor(argv)) register(program, context)
  return withExamples(program, [
    'pointsman demo',
    'pointsman import watch.jsonl --log shop.db',
    'pointsman services --log shop.db --at 14:03',
  ])
}

type Register = (program: Command, context: Context) => void

/** In the order of the help text. Each is loaded when it is asked for: some have much to load. */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  run: async () => (await import('./commands/run/command.js')).registerRun,
  record: async () => (await import('./commands/record/command.js')).registerRecord,
  import: async () => (await import('./commands/import/command.js')).registerImport,
  export: async () => (await import('./commands/export/command.js')).registerExport,
  replay: async () => (await import('./commands/replay/command.js')).registerReplay,
  log: async () => (await import('./commands/log/command.js')).registerLog,
  services: async () => (await import('./commands/services/command.js')).registerServices,
  explain: async () => (await import('./commands/explain/command.js')).registerExplain,
  rules: async () => (await import('./commands/rules/command.js')).registerRules,
  diff: async () => (await import('./commands/diff/command.js')).registerDiff,
  blame: async () => (await import('./commands/blame/command.js')).registerBlame,
  render: async () => (await import('./commands/render/command.js')).registerRender,
  apply: async () => (await import('./commands/apply/command.js')).registerApply,
  cleanup: async () => (await import('./commands/cleanup/command.js')).registerCleanup,
  trace: async () => (await import('./commands/trace/command.js')).registerTrace,
  bisect: async () => (await import('./commands/bisect/command.js')).registerBisect,
  audit: async () => (await import('./commands/audit/command.js')).registerAudit,
  migrate: async () => (await import('./commands/migrate/command.js')).registerMigrate,
  demo: async () => (await import('./commands/demo/command.js')).registerDemo,
  completion: async () => (await import('./commands/completion/command.js')).registerCompletion,
}

/** Every command's name, for a test that none is forgotten in. */
export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS)

/** The one that the first word names; none for the version; all of them for whatever is about more than one. */
async function commandsFor(argv: readonly string[]): Promise<readonly Register[]> {
  const [first = ''] = argv
  if (first === '-V' || first === '--version') return []
  const one = first === 'completion' || !Object.hasOwn(COMMANDS, first) ? undefined : COMMANDS[first]
  return one === undefined ? Promise.all(Object.values(COMMANDS).map((load) => load())) : [await one()]
}

const linesOf = (text: string): readonly string[] => text.replace(/\n$/, '').split('\n')

const oneLine = (message: string): string =>
  message
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/(?<!\s)\s*\n\s*/g, ' ')
    .replace(/\.$/, '')
