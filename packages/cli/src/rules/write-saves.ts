import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Dataplane, IpFamily, RulePlan } from '@pointsman/core'
import { FileError, openLinesFile } from '@pointsman/core/io'
import type { Context } from '../context.js'
import { countOf } from '../output/duration.js'
import { portionsOf } from '../output/write-pieces.js'

export interface SavesToWrite {
  /** Made where it is not there. */
  readonly folder: string
  readonly dataplane: Dataplane
  readonly families: readonly IpFamily[]
  readonly planOf: (family: IpFamily) => RulePlan
}

/** Writes the rules of each family into its file, over one that is there, and prints a line a file. FileError CANNOT_WRITE. */
export function writeSaves({ folder, dataplane, families, planOf }: SavesToWrite, context: Context): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw FileError.from('CANNOT_WRITE', folder, error)
  }
  for (const family of families) {
    const path = join(folder, dataplane.listingFile(family))
    const rules = writeSave(path, planOf(family))
    context.stdout.print(`${path}: ${countOf(rules, `${family} rule`)}`)
  }
}

function writeSave(path: string, plan: RulePlan): number {
  const file = openLinesFile(path, { unique: randomBytes(6).toString('hex') })
  let rules = 0
  const counted = function* (): Generator<string> {
    for (const line of plan.listing(plan.parts())) {
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
