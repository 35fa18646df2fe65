import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, expect, test } from 'vitest'
import { DEFAULT_AGENT_CONFIG } from '../../model/agent-config.js'
import { configDocument } from '../../model/config-document.js'
import { readAgentConfig } from '../../model/read-agent-config.js'
import { readConfigDocument } from './read-config-document.js'
import { writeConfigDocument } from './write-config-document.js'

const folder = mkdtempSync(join(tmpdir(), 'pointsman-write-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a configuration that is written can be started with, and says the same', async () => {
  const file = join(folder, 'defaults.yaml')
  await writeConfigDocument(file, configDocument(DEFAULT_AGENT_CONFIG))
  const { document } = await readConfigDocument(file, Readable.from([]))
  expect(readAgentConfig(document)).toEqual({ config: DEFAULT_AGENT_CONFIG, warnings: [], errors: [] })
  expect(readFileSync(file, 'utf8')).toMatch(
    /^apiVersion: kubeproxy\.config\.k8s\.io\/v1alpha1\nbindAddress: 0\.0\.0\.0\nbindAddressHardFail: false\n/,
  )
})

test('a folder that is not there is named', async () => {
  const file = join(folder, 'nowhere', 'x.yaml')
  await expect(writeConfigDocument(file, {})).rejects.toMatchObject({ name: 'FileError', file })
})
