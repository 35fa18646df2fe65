import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A folder as kubelet mounts a ConfigMap, or a token: each file is a link through `..data` to a folder of the day, and a new
 * version comes by swapping that one link.
 */
export interface ConfigMapVolume {
  readonly path: string
  readonly write: (files: Readonly<Record<string, string>>) => void
}

export function createConfigMapVolume(path: string): ConfigMapVolume {
  mkdirSync(path, { recursive: true })
  let version = 0
  const write = (files: Readonly<Record<string, string>>): void => {
    const before = version === 0 ? undefined : `..2026_11_21_${version}`
    version += 1
    const folder = `..2026_11_21_${version}`
    mkdirSync(join(path, folder))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, folder, name), text)
    symlinkSync(folder, join(path, '..data_tmp'))
    renameSync(join(path, '..data_tmp'), join(path, '..data'))
    if (before === undefined) for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(path, name))
    else rmSync(join(path, before), { recursive: true })
  }
  return { path, write }
}
