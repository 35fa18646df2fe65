import pc from 'picocolors'
import { styleMark } from './line-sink.js'

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
export function wantsColour({ env, isTTY }: ColourQuestion): boolean {
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

/** The same style in marks, which the sink tells from sequences that somebody else put into the text. */
function marking(paint: (text: string) => string): (text: string) => string {
  const [open = '', close = ''] = (paint('|').match(/\d+(?=m)/g) ?? []).map(styleMark)
  // What was styled within goes on as it was after that.
  return (text) => `${open}${text.replaceAll(close, `${close}${open}`)}${close}`
}
