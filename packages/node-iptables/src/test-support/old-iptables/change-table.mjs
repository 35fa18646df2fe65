import { canonicalRule } from './canonical-rule.mjs'
import { Failure } from './failure.mjs'
import { tableIn } from './tables.mjs'

/** Does what the words of one command say (`-t TABLE -A CHAIN ...`), and gives what it prints. */
export function changeTable(tables, words, { name, shown, usage }) {
  const [, tableName, command, chain, ...rest] = words
  const table = tableIn(tables, tableName)
  if (table === undefined) {
    const why = `can't initialize iptables table \`${tableName}': Table does not exist (do you need to insmod?)`
    throw new Failure(3, `${name} ${shown}: ${why}\nPerhaps iptables or your kernel needs to be upgraded.`)
  }
  const fail = (why) => {
    throw new Failure(1, `${name}: ${why}`)
  }
  const existing = () => table[chain] ?? fail('No chain/target/match by that name.')
  const rule = canonicalRule(rest)
  const target = rule[rule.indexOf('-j') + 1]
  if (rule.includes('-j') && !TARGETS.includes(target) && table[target] === undefined) {
    throw new Failure(2, `${name} ${shown}: Couldn't load target \`${target}':No such file or directory\n\n${usage}`)
  }
  const at = (table[chain]?.rules ?? []).findIndex((other) => JSON.stringify(other) === JSON.stringify(rule))
  switch (command) {
    case '-N':
      if (table[chain] !== undefined) fail('Chain already exists.')
      table[chain] = { policy: '-', rules: [] }
      return ''
    case '-F':
      existing().rules = []
      return ''
    case '-X':
      if (existing().rules.length > 0) fail('Directory not empty.')
      if (isJumpedTo(table, chain)) fail('Too many links.')
      delete table[chain]
      return ''
    case '-S':
      return [`-N ${chain}`, ...existing().rules.map((words) => `-A ${chain} ${words.join(' ')}`), ''].join('\n')
    case '-A':
      existing().rules.push(rule)
      return ''
    case '-I':
      existing().rules.unshift(rule)
      return ''
    case '-C':
    case '-D':
      if (at < 0) fail('Bad rule (does a matching rule exist in that chain?).')
      if (command === '-D') existing().rules.splice(at, 1)
      return ''
    default:
      throw new Failure(2, `${name} ${shown}: unknown option "${command}"\n${usage}`)
  }
}

const TARGETS = ['ACCEPT', 'DROP', 'RETURN', 'MASQUERADE', 'DNAT', 'MARK']

const isJumpedTo = (table, chain) =>
  Object.values(table).some(({ rules }) => rules.some((rule) => rule[rule.indexOf('-j') + 1] === chain))
