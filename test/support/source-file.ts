import { posix } from 'node:path'

export interface SourceFile {
  /** From the top of the clone, with slashes: `packages/core/src/model/seq.ts`. */
  readonly path: string
  readonly text: string
}

export interface ImportOf {
  /** As written: `../model/seq.js`, `rxjs`. */
  readonly specifier: string
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean
  /** Path of the file meant, for a relative import: `packages/core/src/model/seq.ts`. */
  readonly target?: string
}

/** Every import, re-export, dynamic import and require of a file. */
export function importsOf({ path, text }: SourceFile): readonly ImportOf[] {
  const code = withoutComments(text)
  const statements = [...code.matchAll(STATEMENT)].map((match) => ({
    specifier: match[3] ?? '',
    typeOnly: match[1] !== undefined || hasOnlyTypes(match[2] ?? ''),
  }))
  const calls = [...code.matchAll(CALL)].map((match) => ({ specifier: match[1] ?? '', typeOnly: false }))
  return [...statements, ...calls].map((found) => {
    if (!found.specifier.startsWith('.')) return found
    return { ...found, target: posix.join(posix.dirname(path), found.specifier).replace(/\.js$/, '.ts') }
  })
}

/** The names that a file imports or re-exports from a module, as the module calls them; `*` for all. */
export function namesFrom(specifier: string, { text }: SourceFile): readonly string[] {
  const clauses = [...withoutComments(text).matchAll(STATEMENT)].filter((match) => match[3] === specifier)
  return clauses.flatMap(([, , clause = '']) => {
    const names = /\{([^}]*)\}/.exec(clause)?.[1]
    if (names === undefined) return ['*']
    return names.split(',').flatMap((name) => /^\s*(?:type\s+)?(\w+)/.exec(name)?.[1] ?? [])
  })
}

const STATEMENT =
  /^[ \t]*(?:import|export)\s+(type\s+)?((?:[\w\s{},*$]*?\sfrom\s+|[\w\s{},*$]*?\}\s*from\s+)?)['"]([^'"\n]+)['"]/gm
const CALL = /\b(?:import|require)\s*\(\s*['"]([^'"\n]+)['"]/g

/** `{ type A, type B } from`: true where each name is imported as a type. */
function hasOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}/.exec(clause)?.[1]
  if (names === undefined) return false
  const each = names.split(',').map((name) => name.trim())
  return each.some((name) => name !== '') && each.every((name) => name === '' || name.startsWith('type '))
}

/** The text without comments; strings and templates stay, so that `//` inside them is none. */
export function withoutComments(text: string): string {
  return text.replaceAll(TOKEN, (_, literal: string | undefined) => literal ?? ' ')
}

const TOKEN = /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g
