import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let folder: string

beforeEach(() => {
  // Elsewhere, so that the koffi of the workspace is not found on the way up.
  folder = mkdtempSync(join(tmpdir(), 'node-netfilter-'))
  cpSync(fileURLToPath(new URL('../../dist', import.meta.url)), join(folder, 'dist'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('where koffi cannot be loaded', () => {
  it.each([
    ['is not installed', undefined, /Cannot find module 'koffi'/],
    ['has no binary', "throw new Error('Cannot find the native Koffi module')", /Cannot find the native Koffi module/],
    ['is another version', 'exports.load = () => {}', /no node\.poll/],
  ])('because it %s, importing works and each call fails', (_, koffi, detail) => {
    if (koffi !== undefined) installKoffi(koffi)
    const printed = run(`
      import { generation, watchGenerations } from './dist/index.js'
      for (const call of [generation, () => watchGenerations({ onGeneration() {}, onMissed() {} })]) {
        await call().catch(({ name, code, errno, message }) => console.log(name, code, errno, message))
      }
    `)
    const lines = printed.trim().split('\n')
    expect(lines).toHaveLength(2)
    for (const line of lines) {
      expect(line).toMatch(/^NetfilterError CANNOT_LOAD undefined koffi: netlink cannot be used from this process: /)
      expect(line).toMatch(detail)
    }
  })
})

function installKoffi(text: string): void {
  mkdirSync(join(folder, 'node_modules/koffi'), { recursive: true })
  writeFileSync(join(folder, 'node_modules/koffi/index.js'), text)
}

function run(text: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', text], { cwd: folder, encoding: 'utf8' })
}
