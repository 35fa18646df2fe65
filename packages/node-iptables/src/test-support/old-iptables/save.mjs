/** What iptables-save prints of the tables, or of one. */
export function saved(tables, only) {
  return Object.entries(tables)
    .filter(([name]) => only === undefined || name === only)
    .map(([name, table]) => `# Generated\n${[`*${name}`, ...linesOf(table), 'COMMIT'].join('\n')}\n# Completed\n`)
    .join('')
}

const linesOf = (table) => [
  ...Object.entries(table).map(([chain, { policy }]) => `:${chain} ${policy} [0:0]`),
  ...Object.entries(table).flatMap(([chain, { rules }]) =>
    rules.map((rule) => `-A ${chain} ${rule.map((word) => quoted(word)).join(' ')}`),
  ),
]

const quoted = (word) => (/^[\w./:,-]+$/.test(word) ? word : `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`)
