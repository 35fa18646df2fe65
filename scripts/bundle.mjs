// node scripts/bundle.mjs
//
// Makes packages/cli/bundle of what tsc built: the command, its log thread, the packages that they import, the recording of
// `pointsman demo`, and the licenses of what is not ours. Does nothing where the bundle is newer than all of that. set-up runs it.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { build } from 'esbuild'
import { dirname, join, relative } from 'node:path'
import { packageDirectories, root } from './lib/workspace.mjs'

const outdir = join(root, 'packages', 'cli', 'bundle')
const stamp = join(outdir, 'main.js')
const RECORDING = join(root, 'fixtures', 'recordings', 'shop-incident', 'watch.jsonl')

/** What ships is installed beside the bundle: native code. */
const INSTALLED = ['better-sqlite3', 'koffi']

if (!isCurrent()) await bundle()

async function bundle() {
  rmSync(outdir, { recursive: true, force: true })
  mkdirSync(outdir, { recursive: true })
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      main: 'packages/cli/dist/main.js',
      'log-thread': 'packages/core/dist/io/sqlite/log-thread.js',
    },
    outdir,
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: INSTALLED,
    legalComments: 'none',
    logLevel: 'error',
    metafile: true,
    // CommonJS modules in it ask for Node's own by require.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
  })
  copyFileSync(RECORDING, join(outdir, 'shop-incident.jsonl'))
  writeFileSync(join(outdir, 'LICENSES.txt'), licenses(Object.keys(metafile.inputs)))
}

function isCurrent() {
  if (!existsSync(stamp)) return false
  const made = statSync(stamp).mtimeMs
  const sources = packageDirectories().map((directory) => join(directory, 'dist'))
  const manifests = ['pnpm-lock.yaml', 'scripts/bundle.mjs'].map((name) => join(root, name))
  return [...sources.filter(existsSync).flatMap(filesOf), ...manifests, RECORDING].every(
    (file) => statSync(file).mtimeMs <= made,
  )
}

function filesOf(directory) {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.js'))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** The license of each package outside this workspace that a bundled file is of, once. */
function licenses(inputs) {
  const folders = new Set(
    inputs.filter((input) => input.includes('node_modules/')).map((input) => packageOf(join(root, input))),
  )
  const entries = [...folders].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
    return [`${name} ${version} (${license ?? 'see its text'})`, text]
  })
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([title, text]) => `${title}\n${text}\n`).join('----\n\n')
}

function packageOf(file) {
  for (let folder = dirname(file); relative(root, folder) !== ''; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    // Folders of a package may hold a manifest that says only `type`.
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name !== undefined) return folder
  }
  throw new Error(`${file}: of no package`)
}
