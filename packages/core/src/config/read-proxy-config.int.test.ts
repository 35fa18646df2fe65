import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readProxyConfig } from './read-proxy-config.js'

describe('configurations that a real kube-proxy ran with', () => {
  const goldens = fileURLToPath(new URL('../../../../fixtures/golden/', import.meta.url))
  const files = readdirSync(goldens, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('config.json'),
  )

  it('are there', () => expect(files.length).toBeGreaterThan(20))

  it.each(files)('%s is read without errors and warnings', (file) => {
    const { errors, warnings } = readProxyConfig(JSON.parse(readFileSync(goldens + file, 'utf8')), {
      modes: ['iptables', 'nftables'],
    })
    expect({ errors, warnings }).toEqual({ errors: [], warnings: [] })
  })
})
