import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, expect, test } from 'vitest'
import { DEFAULT_AGENT_CONFIG } from '../../model/proxy-config.js'
import { configDocument } from '../../config/config-document.js'
import { readAgentConfig } from '../../config/read-agent-config.js'
import { readConfigDocument, writeConfigDocument } from './config-file.js'

const folder = mkdtempSync(join(tmpdir(), 'pointsman-write-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a configuration that is written can be started with, and says the same', async () => {
  const file = join(folder, 'defaults.yaml')
  writeConfigDocument(file, configDocument(DEFAULT_AGENT_CONFIG), { unique: 'a' })
  const { document } = await readConfigDocument(file, Readable.from([]))
  expect(readAgentConfig(document)).toEqual({ config: DEFAULT_AGENT_CONFIG, warnings: [], errors: [] })
  expect(readFileSync(file, 'utf8')).toMatch(
    /^apiVersion: kubeproxy\.config\.k8s\.io\/v1alpha1\nbindAddress: 0\.0\.0\.0\nbindAddressHardFail: false\n/,
  )
})

test('a folder that is not there is named', () => {
  const file = join(folder, 'nowhere', 'x.yaml')
  expect(() => writeConfigDocument(file, {}, { unique: 'a' })).toThrow(
    expect.objectContaining({ name: 'FileError', file }),
  )
})

test('a symbolic link is replaced, not followed, and what is no plain file stays', () => {
  const umask = process.umask(0o777)
  const precious = join(folder, 'precious')
  try {
    writeFileSync(precious, 'precious', { mode: 0o600 })
    chmodSync(precious, 0o600)
    symlinkSync(precious, join(folder, 'link.yaml'))
    writeConfigDocument(join(folder, 'link.yaml'), { a: 1 }, { unique: 'a' })
  } finally {
    process.umask(umask)
  }
  expect(readFileSync(precious, 'utf8')).toBe('precious')
  expect(readFileSync(join(folder, 'link.yaml'), 'utf8')).toBe('a: 1\n')
  expect(lstatSync(join(folder, 'link.yaml')).mode).toBe(0o100600)
  mkdirSync(join(folder, 'folder'))
  for (const path of [join(folder, 'folder'), join(folder, 'link-to-device')]) {
    if (path.endsWith('device')) symlinkSync('/dev/null', path)
    expect(() => writeConfigDocument(path, {}, { unique: 'a' })).toThrow(/it cannot be written \(not a regular file\)/)
  }
  writeConfigDocument('/dev/null', { a: 1 }, { unique: 'a' })
  expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true)
})
