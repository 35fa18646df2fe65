import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { renderSave, type Ruleset } from '@pointsman/backend-iptables'
import type { IpFamily } from '@pointsman/core'
import { FileError, openLinesFile } from '@pointsman/core/io'
import type { Context } from '../context.js'
import { countOf } from '../output/duration.js'
import { portionsOf } from '../output/write-pieces.js'

export interface SavesToWrite {
  /** Made where it is not there. */
  readonly folder: string
  readonly families: readonly IpFamily[]
  readonly rulesetOf: (family: IpFamily) => Ruleset
}

/** Writes the rules of each family into its file, over one that is there, and prints a line a file. FileError CANNOT_WRITE. */
export function writeSaves({ folder, families, rulesetOf }: SavesToWrite, context: Context): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw FileError.from('CANNOT_WRITE', folder, error)
  }
  for (const family of families) {
    const path = join(folder, SAVE_FILES[family])
    const rules = writeSave(path, rulesetOf(family))
    context.stdout.print(`${path}: ${countOf(rules, `${family} rule`)}`)
  }
}

const SAVE_FILES: { readonly [family in IpFamily]: string } = {
  IPv4: 'iptables-save.txt',
  IPv6: 'ip6tables-save.txt',
}

function writeSave(path: string, ruleset: Ruleset): number {
  const file = openLinesFile(path, { unique: randomBytes(6).toString('hex') })
  let rules = 0
  const counted = function* (): Generator<string> {
    for (const line of renderSave(ruleset)) {
      if (line.startsWith('-A ')) rules += 1
      yield line
    }
  }
  let isDone = false
  try {
    for (const portion of portionsOf(counted())) file.write(`${portion.join('\n')}\n`)
    file.finish()
    isDone = true
    return rules
  } finally {
    if (!isDone) file.abandon()
  }
}
