import { readFileSync } from 'node:fs'
import { openChangeLogWriter } from '../../packages/core/dist/io/index.js'

/** `node append-to-log.mjs LOG FILE`: appends the entries of a file of JSON lines, as an agent would; fails when one is refused. */
const [, , log, file] = process.argv
const entries = readFileSync(file, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line))
const writer = openChangeLogWriter(log, { durability: 'normal' })
const outcomes = await writer.append(entries)
writer.close()
const refused = outcomes.filter(({ type }) => type !== 'appended')
if (refused.length > 0) throw new Error(JSON.stringify(refused))
