import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './shop.js'
import { root } from './source-tree.js'
import { EXAMPLES } from '../../packages/node-iptables/src/test-support/examples.js'

/** A project that has nothing but node-iptables, installed from the tarball that `npm pack` makes. */
export interface PackedProject {
  readonly folder: string
  readonly packed: Packed
  readonly remove: () => void
}

/** What `npm pack --json` says of the tarball. */
export interface Packed {
  readonly filename: string
  /** Bytes, packed. */
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

/** Packs a copy of the package that has never been built, and installs it without a network. */
export function packNodeIptables(): PackedProject {
  const workspace = temporaryFolder()
  // Elsewhere, so that nothing of the workspace is found on the way up.
  const project = temporaryFolder()
  try {
    const source = workspace.path('packages/node-iptables')
    // The other is an optional peer, whose types are compiled against.
    for (const name of ['node-iptables', 'node-netfilter']) {
      cpSync(join(root, 'packages', name), workspace.path(`packages/${name}`), {
        recursive: true,
        filter: (path) => !/\/(?:dist|node_modules)$/.test(path),
      })
    }
    cpSync(join(root, 'tsconfig.base.json'), workspace.path('tsconfig.base.json'))
    symlinkSync(join(root, 'node_modules'), workspace.path('node_modules'))
    const [packed] = JSON.parse(run('npm', ['pack', '--json'], source)) as [Packed]

    writeFileSync(project.path('package.json'), '{ "name": "project", "private": true, "type": "module" }\n')
    const tarball = join(source, packed.filename)
    run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], project.path(''))
    return { folder: project.path(''), packed, remove: project.remove }
  } catch (error) {
    project.remove()
    throw error
  } finally {
    workspace.remove()
  }
}

/** Compiles the README's examples in the project, strictly and with declarations checked, into `out`. */
export function compileExamples({ folder }: PackedProject): void {
  for (const { name, text } of EXAMPLES) writeFileSync(join(folder, `${name}.ts`), text)
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
    rootDir: '.',
    outDir: 'out',
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], folder)
}

/** What a command prints. Fails with all that it printed. */
function run(command: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}

/** A file of the installed package. */
export const readInstalled = ({ folder }: PackedProject, path: string): string =>
  readFileSync(join(folder, 'node_modules/node-iptables', path), 'utf8')
