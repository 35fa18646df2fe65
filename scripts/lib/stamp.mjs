import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { packageDirectories, root } from './workspace.mjs'

const stampFile = join(root, 'node_modules', '.pointsman-set-up')

/** What native addons are built for: one node_modules cannot serve two of these. */
const platform = `${process.versions.modules} ${process.platform} ${process.arch}`

/** Everything that decides what an install leaves: the platform, then lockfile and manifests as a hash. */
export function fingerprint() {
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'].map((name) => join(root, name))
  const manifests = packageDirectories().map((directory) => join(directory, 'package.json'))
  const hash = createHash('sha256')
  for (const file of [...files, ...manifests.filter(existsSync)]) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file))
  }
  return `${platform}\n${hash.digest('hex')}`
}

/** The fingerprint of the last install that succeeded; undefined when there was none. */
export function readStamp() {
  try {
    return readFileSync(stampFile, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Whether the install that a stamp vouches for was made for another Node, system or processor. */
export const isOfAnotherPlatform = (stamp) => stamp !== undefined && stamp.split('\n')[0] !== platform

export function writeStamp(value) {
  writeFileSync(stampFile, `${value}\n`)
}
