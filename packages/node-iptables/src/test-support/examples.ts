import { readdirSync, readFileSync } from 'node:fs'

/** An example of the README: a module that a reader can run, which says in `// -> ` lines what it prints. */
export interface Example {
  /** The name of the file, without `.ts`. */
  readonly name: string
  readonly text: string
  /** What it says that it prints. */
  readonly prints: string
  /** Whether it needs iptables, root and a network namespace. */
  readonly needsKernel: boolean
}

const folder = new URL('../../examples/', import.meta.url)

/** All of them, by name. */
export const EXAMPLES: readonly Example[] = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .toSorted()
  .map((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8')
    const said = [...text.matchAll(/^\/\/ ->(?: (.*))?$/gm)].map(([, line = '']) => `${line}\n`)
    return {
      name: file.replace(/\.ts$/, ''),
      text,
      prints: said.join(''),
      needsKernel: text.includes('createIptables('),
    }
  })
