import type { Shape } from './shape.js'

/** The section of `docs/json.md` about a document: a table of its fields, and one for each named object in it. */
export function renderDocumentShape(kind: string, shape: Shape): string {
  const tables = namedShapes(shape).map((named) => `${heading(named, kind)}${fieldTable(named)}`)
  return tables.join('\n')
}

type Named = Extract<Shape, { readonly type: 'object' }>

const heading = ({ name = '' }: Named, kind: string): string =>
  name === kind ? `## ${name}\n\n` : `### ${kind}: ${name}\n\n`

function fieldTable({ fields }: Named): string {
  const rows = Object.entries(fields).map(
    ([name, { shape, meaning, optional }]) =>
      `| \`${name}\` | ${typeName(shape)}${optional === true ? ', may be absent' : ''} | ${meaning} |\n`,
  )
  return `| field | type | meaning |\n|---|---|---|\n${rows.join('')}`
}

function typeName(shape: Shape): string {
  switch (shape.type) {
    case 'enum':
      return shape.values.map((value) => `\`${value}\``).join(', ')
    case 'list':
      return `list of ${typeName(shape.of)}`
    case 'map':
      return `object: name to ${typeName(shape.of)}`
    case 'object':
      return shape.name ?? 'object'
    case 'string':
    case 'number':
    case 'integer':
    case 'boolean':
    case 'time':
    case 'any':
      return shape.type
  }
}

/** The shape itself and what it refers to by name, each once, outermost first. */
function namedShapes(shape: Shape, seen: readonly string[] = []): readonly Named[] {
  if (shape.type === 'list' || shape.type === 'map') return namedShapes(shape.of, seen)
  if (shape.type !== 'object' || shape.name === undefined || seen.includes(shape.name)) return []
  const found: Named[] = [shape]
  for (const field of Object.values(shape.fields)) {
    const names = [...seen, ...found.map(({ name = '' }) => name)]
    found.push(...namedShapes(field.shape, names))
  }
  return found
}
