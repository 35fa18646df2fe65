import type { Diagnostic } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'

/** Adds the examples that every command's help ends with: a line a command, without the prompt. */
export function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${examples.map((example) => `  $ ${example}\n`).join('')}`.trimEnd(),
  )
}

/** One line on standard error that counts the fields that were left out, and says how to see them. */
export function warnOfDiagnostics(diagnostics: readonly Diagnostic[], how: string, context: Context): void {
  const count = diagnostics.length
  if (count === 0) return
  const fields = count === 1 ? 'one field was' : `${count} fields were`
  warn(context, `${fields} left out or read otherwise than written: ${how}`)
}
