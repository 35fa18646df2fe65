import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DEFAULT_AGENT_CONFIG } from '@pointsman/core'
import { afterAll, expect, test } from 'vitest'
import { applyMachineSettings, machineFiles } from './machine-settings.js'

const root = mkdtempSync(join(tmpdir(), 'pointsman-machine-'))
afterAll(() => rmSync(root, { recursive: true }))

test('the settings of a machine under another root are read and written there', async () => {
  const score = '/proc/self/oom_score_adj'
  mkdirSync(dirname(`${root}${score}`), { recursive: true })
  writeFileSync(`${root}${score}`, '-1000000\n')
  const conntrack = {
    ...DEFAULT_AGENT_CONFIG.conntrack,
    maxPerCore: 0,
    tcpEstablishedTimeoutMs: 0,
    tcpCloseWaitTimeoutMs: 0,
  }
  await applyMachineSettings({ conntrack, oomScoreAdj: -5 }, machineFiles(root))
  expect(readFileSync(`${root}${score}`, 'utf8')).toBe('-5')
  await expect(machineFiles(root).readFile('/proc/none')).rejects.toMatchObject({ code: 'ENOENT' })
  expect(machineFiles(root).cpus).toBeGreaterThan(0)
})
