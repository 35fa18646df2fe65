import { escapeControls } from '@pointsman/core'
import { randomUUID } from 'node:crypto'
import pc from 'picocolors'

/** A stream as the process has it. A write that gives false asks to wait for `drain` before the next, as a slow pipe's does. */
export interface TextSink {
  write(text: string): unknown
  once?(event: 'drain', listener: () => void): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/**
 * Where a command writes: the one way out for text. A line is one line whatever is in it, and no text from outside can
 * style it or move the cursor: line feeds and other controls within are escaped; ends of lines and styles are the sink's own.
 */
export interface LineSink {
  /** One line, or several, without their ends. Gives false where the writer should wait for `drain`. */
  readonly print: (lines: string | readonly string[]) => unknown
  /** Shows a line without style, cut to the terminal's width, in place of the last one that was shown so, or wipes that; for terminals alone. */
  readonly showStatus: (line: string | undefined) => void
  readonly once: (event: 'drain', listener: () => void) => void
  readonly isTTY: boolean
  readonly columns: number | undefined
}

export const lineSink = (stream: TextSink): LineSink => ({
  print: (lines) => {
    const text =
      typeof lines === 'string' ? `${printedLine(lines)}\n` : lines.map((line) => `${printedLine(line)}\n`).join('')
    return text === '' ? true : stream.write(text)
  },
  showStatus: (line) =>
    void stream.write(
      line === undefined ? WIPE_LINE : WIPE_LINE + escapeControls(line).slice(0, (stream.columns || 80) - 1),
    ),
  once: (event, listener) => {
    if (stream.once === undefined) listener()
    else stream.once(event, listener)
  },
  // Both change while the process runs.
  get isTTY() {
    return stream.isTTY === true
  },
  get columns() {
    return stream.columns
  },
})

/** Prints nothing. */
export const SILENT: LineSink = lineSink({ write: () => true })

/** A line as it is printed, without its end: controls escaped, marks of styles turned into the terminal's sequences. */
export const printedLine = (line: string): string => escapeControls(line).replaceAll(MARKS, '\u001B[$1m')

/** Columns that a text takes once it is printed: styles take none. */
export const textWidth = (text: string): number => [...escapeControls(text.replaceAll(MARKS, ''))].length

/**
 * Stands for the terminal's sequence `ESC [ code m` in text that is not printed yet. It holds a secret of this process, so that no text from outside
 * can have one.
 */
const styleMark = (code: string): string => `${SECRET}${code};`

const SECRET = `\uFDD0${randomUUID()}:`
const MARKS = new RegExp(`${SECRET}(\\d+);`, 'g')

const WIPE_LINE = '\r\u001B[2K'

/** Text styles, as marks that the sink turns into the terminal's sequences; each returns its argument where colour is off. */
export interface Style {
  readonly enabled: boolean
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly cyan: (text: string) => string
}

/**
 * Whether a stream gets colour: on a terminal, unless NO_COLOR is set (https://no-color.org: to anything but nothing) or
 * TERM is `dumb`; FORCE_COLOR (but `0` or `false`) turns it on in a pipe too, NO_COLOR wins over it.
 */
function wantsColour({ env, isTTY }: ColourQuestion): boolean {
  const noColour = env['NO_COLOR']
  if (noColour !== undefined && noColour !== '') return false
  const force = env['FORCE_COLOR']
  if (force !== undefined) return force !== '0' && force !== 'false'
  return isTTY && env['TERM'] !== 'dumb'
}

interface ColourQuestion {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isTTY: boolean
}

export function styleFor(question: ColourQuestion): Style {
  const enabled = wantsColour(question)
  const { bold, dim, red, green, yellow, cyan } = pc.createColors(enabled)
  const marked = (paint: (text: string) => string): ((text: string) => string) => (enabled ? marking(paint) : paint)
  return {
    enabled,
    bold: marked(bold),
    dim: marked(dim),
    red: marked(red),
    green: marked(green),
    yellow: marked(yellow),
    cyan: marked(cyan),
  }
}

/** No style at all. */
export const PLAIN: Style = styleFor({ env: {}, isTTY: false })

/** The same style in marks, which the sink distinguishes from sequences in text from outside. */
function marking(paint: (text: string) => string): (text: string) => string {
  const [open = '', close = ''] = (paint('|').match(/\d+(?=m)/g) ?? []).map(styleMark)
  // What was styled within goes on as it was after that.
  return (text) => `${open}${text.replaceAll(close, `${close}${open}`)}${close}`
}
