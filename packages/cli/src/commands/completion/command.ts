import { Argument, type Command } from 'commander'
import type { Context } from '../../context.js'
import { withExamples } from '../../output/format-text.js'
import { bashScript, fishScript, zshScript } from './scripts.js'

export function registerCompletion(program: Command, context: Context): void {
  const command = program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('Prints a script that lets bash, zsh or fish complete commands, options and their values.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
    .action((shell: string) => {
      const script = SCRIPTS[shell]
      if (script !== undefined) context.stdout.print(script(commandSpecs(program)).trimEnd().split('\n'))
    })
  withExamples(command, [
    'source <(pointsman completion bash)',
    'pointsman completion zsh > "${fpath[1]}/_pointsman"',
    'pointsman completion fish > ~/.config/fish/completions/pointsman.fish',
  ])
}

const SCRIPTS: Readonly<Record<string, (commands: readonly CommandSpec[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

export interface OptionSpec {
  /** `-o`; absent where there is none. */
  readonly short?: string
  /** `--output`. */
  readonly long: string
  readonly description: string
  readonly takesValue: boolean
  readonly choices: readonly string[]
}

export interface CommandSpec {
  readonly name: string
  readonly summary: string
  readonly options: readonly OptionSpec[]
  readonly subcommands: readonly CommandSpec[]
}

/** What there is to complete, read from the program itself. */
function commandSpecs(program: Command): readonly CommandSpec[] {
  return program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary() === '' ? firstSentence(command.description()) : command.summary(),
    options: [
      ...command.options.map((option): OptionSpec => ({
        long: option.long ?? option.flags,
        description: firstSentence(option.description),
        takesValue: option.required || option.optional,
        choices: option.argChoices ?? [],
        ...(option.short !== undefined && { short: option.short }),
      })),
      { short: '-h', long: '--help', description: 'print the help', takesValue: false, choices: [] },
    ],
    subcommands: commandSpecs(command),
  }))
}

const firstSentence = (text: string): string => text.split(/[.:;(]/)[0]?.trim() ?? text
