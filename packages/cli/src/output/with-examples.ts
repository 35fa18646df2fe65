import type { Command } from 'commander'

/** Adds the examples that every command's help ends with: a line a command, without the prompt. */
export function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${examples.map((example) => `  $ ${example}\n`).join('')}`.trimEnd(),
  )
}
