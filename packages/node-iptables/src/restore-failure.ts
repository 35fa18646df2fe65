import type { RestoreFailure, NumberedLine } from './iptables-error.js'

/** The line that a failed restore's standard error names, from 1. Undefined: it names none. */
export function failedLineOf(stderr: string): number | undefined {
  const found = LINE_SPELLINGS.map((spelling) => spelling.exec(stderr)?.[1]).find((number) => number !== undefined)
  return found === undefined ? undefined : Number(found)
}

/** That line and its neighbours. Undefined where the input has no such line. `pieces` together are the text. */
export async function restoreFailureAt(
  number: number,
  pieces: AsyncIterable<string>,
): Promise<RestoreFailure | undefined> {
  const around = await linesBetween({ pieces, first: number - REACH, last: number + REACH })
  const line = around.find((line) => line.number === number)
  return line === undefined ? undefined : { line, neighbours: around.filter((other) => other !== line) }
}

const REACH = 2

// iptables-restore and the extensions each have their own way to say where; the most precise comes first.
const LINE_SPELLINGS = [
  /^line (\d+): /m,
  /line (\d+) failed/,
  /Error occurred at line: (\d+)/,
  /expected at line (\d+)/,
  /\bline:? (\d+)\b/,
]

interface Stretch {
  readonly pieces: AsyncIterable<string>
  readonly first: number
  readonly last: number
}

async function linesBetween({ pieces, first, last }: Stretch): Promise<readonly NumberedLine[]> {
  const lines: NumberedLine[] = []
  let number = 1
  let text = ''
  for await (const piece of pieces) {
    const [head = '', ...rest] = piece.split('\n')
    text += head
    for (const next of rest) {
      if (number >= first && number <= last) lines.push({ number, text })
      if (number >= last) return lines
      number += 1
      text = next
    }
  }
  if (text !== '' && number >= first) lines.push({ number, text })
  return lines
}
