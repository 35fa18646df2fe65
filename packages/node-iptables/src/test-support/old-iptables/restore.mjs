import { changeTable } from './change-table.mjs'
import { Failure } from './failure.mjs'
import { tableIn } from './tables.mjs'

/** Restores the input; a table takes effect at its COMMIT, whole or not at all. */
export function restore(tables, { input, flush, name, shown, usage }) {
  let draft
  let table = ''
  const lines = input.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue
    const fail = () => {
      throw new Failure(1, `${name}: line ${index + 1} failed`)
    }
    if (line.startsWith('*')) {
      table = line.slice(1)
      draft = flush ? {} : structuredClone(tables)
      if (tableIn(draft, table) === undefined) fail()
    } else if (draft === undefined) fail()
    else if (line === 'COMMIT') {
      tables[table] = draft[table]
      draft = undefined
    } else if (line.startsWith(':')) {
      const [chain, policy] = line.slice(1).split(' ')
      draft[table][chain] = { policy, rules: policy === '-' ? [] : (draft[table][chain]?.rules ?? []) }
    } else {
      try {
        changeTable(draft, ['-t', table, ...wordsOf(line)], { name, shown, usage })
      } catch (error) {
        if (!(error instanceof Failure) || error.exitCode === 1) fail()
        throw new Failure(
          error.exitCode,
          error.message.replace(usage, `Error occurred at line: ${index + 1}\n${usage}`),
        )
      }
    }
  }
  if (draft !== undefined) throw new Failure(1, `${name}: COMMIT expected at line ${lines.length}`)
}

const wordsOf = (line) =>
  (line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) =>
    word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word,
  )
