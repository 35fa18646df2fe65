import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BUILT_IN = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
}

/** The tables that were used, by name: chains by name, each a policy (`-`: none) and rules in save's words. */
export function readTables(folder, family) {
  const file = join(folder, family)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

export function writeTables(folder, family, tables) {
  writeFileSync(join(folder, family), JSON.stringify(tables))
  const names = Object.keys(tables).map((name) => `${name}\n`)
  writeFileSync(join(folder, `${family === 'IPv4' ? 'ip' : 'ip6'}_tables_names`), names.join(''))
}

/** As in the kernel, a table is there once it is used. Undefined: there is no such table. */
export function tableIn(tables, name) {
  if (!Object.hasOwn(BUILT_IN, name)) return undefined
  tables[name] ??= Object.fromEntries(BUILT_IN[name].map((chain) => [chain, { policy: 'ACCEPT', rules: [] }]))
  return tables[name]
}
