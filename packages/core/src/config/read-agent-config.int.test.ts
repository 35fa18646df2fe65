import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { DEFAULT_AGENT_CONFIG } from '../model/proxy-config.js'
import { readAgentConfig } from './read-agent-config.js'

describe("kubeadm's ConfigMap", () => {
  const file = fileURLToPath(new URL('../../../../fixtures/configurations/kubeadm.yaml', import.meta.url))
  const document: unknown = parse(readFileSync(file, 'utf8'))

  it('is read without a word, and its empty values are the defaults', () => {
    expect(readAgentConfig(document)).toEqual({
      config: {
        ...DEFAULT_AGENT_CONFIG,
        proxy: { ...DEFAULT_AGENT_CONFIG.proxy, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } },
        client: { ...DEFAULT_AGENT_CONFIG.client, kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf' },
      },
      warnings: [],
      errors: [],
    })
  })
})

describe('configurations that a real kube-proxy ran with', () => {
  const goldens = fileURLToPath(new URL('../../../../fixtures/golden/', import.meta.url))
  const files = readdirSync(goldens, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('config.json'),
  )

  it('are there', () => expect(files.length).toBeGreaterThan(20))

  it.each(files)('%s starts an agent without a word', (file) => {
    const { errors, warnings } = readAgentConfig(JSON.parse(readFileSync(goldens + file, 'utf8')), {
      modes: ['iptables', 'nftables'],
    })
    expect({ errors, warnings }).toEqual({ errors: [], warnings: [] })
  })
})
