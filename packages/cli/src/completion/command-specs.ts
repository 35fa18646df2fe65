import type { Command } from 'commander'

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
export function commandSpecs(program: Command): readonly CommandSpec[] {
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
