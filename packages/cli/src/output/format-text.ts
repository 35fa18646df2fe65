import type { Diagnostic } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'

/** `1.5 s`, `3 min 20 s`, `2 h 5 min`: for people. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const total = Math.round(ms / 1000)
  const [days, hours, minutes, seconds] = [
    Math.floor(total / 86_400),
    Math.floor(total / 3600) % 24,
    Math.floor(total / 60) % 60,
    total % 60,
  ]
  if (days > 0) return `${days} d ${hours} h`
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds} s`
}

/** `1,234,567`. */
export const formatCount = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, ',')

/** `1 rule`, `1,234 rules`. */
export const countOf = (count: number, what: string): string => `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`

/** A path as it can be pasted into a shell. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`

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
