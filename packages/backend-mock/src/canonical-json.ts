/** JSON with the keys of every object sorted: equal plain data, equal text. Undefined fields are left out. */
export const canonicalJson = (value: unknown): string => JSON.stringify(value, sortedKeys)

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
