import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { slice } from '@pointsman/core/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { SMALL_WORLD } from './small-world.js'

const REFUSED = '10.244.66.66'
const WEB = 'shop/web:http/TCP/IPv4'
/** The kernel is sent a rule that it cannot take wherever one address is to be reached. */
const SCRIPT = `#!/bin/sh
PATH=\${PATH#*:}
sed '/^-[AI].*--to-destination ${REFUSED}:/s/-j .*/-j KUBE-NOT-THERE/' | iptables-nft-restore "$@"
`

describeIptables('an agent whose kernel refuses the rules of one service', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(SMALL_WORLD)
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  const readyz = async () => {
    const { status, body } = await node.get('http://127.0.0.1:10249/readyz')
    const { checks } = JSON.parse(body) as {
      readonly checks: {
        readonly applied: Readonly<Record<string, unknown>> & { readonly applied: number; readonly head: number }
      }
    }
    return { status, applied: checks.applied }
  }

  test('programs the others, names it with the error and since when, retries it, and says when that ends', async () => {
    const path = folder.path('bin')
    mkdirSync(path)
    writeFileSync(join(path, 'iptables-nft-restore'), SCRIPT, { mode: 0o755 })
    const agent = node.startWith(path)
    await agent.hasSaid(/synced everything/)

    await node.server.put(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5', REFUSED] }))
    await agent.hasSaid(
      /rules of shop\/web:http\/TCP\/IPv4 are refused, and its previous ones stay in place; retrying in 1 s: .*KUBE-NOT-THERE/,
    )
    const { status, applied } = await readyz()
    expect(status).toBe(503)
    expect(applied).toMatchObject({
      ok: false,
      applied: applied.head,
      refusedCount: 1,
      refused: [{ servicePort: WEB, error: expect.stringContaining('KUBE-NOT-THERE'), since: expect.any(String) }],
    })
    expect((await node.get('http://127.0.0.1:10256/healthz')).status).toBe(200)
    expect((await node.get('http://127.0.0.1:10249/metrics')).body).toContain(
      'pointsman_refused_service_ports{ip_family="IPv4"} 1',
    )
    // It keeps what it had, and others change.
    await node.server.put(slice({ name: 'late-1', service: 'balanced', endpoints: ['10.244.1.77'] }))
    await expect.poll(() => node.run('iptables-nft-save -t nat'), { timeout: 20_000 }).toContain('10.244.1.77')
    const rules = node.run('iptables-nft-save -t nat')
    expect(rules).toContain('--to-destination 10.244.2.5:')
    expect(rules).not.toContain(REFUSED)

    await node.server.put(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5', '10.244.1.8'] }))
    await agent.hasSaid(/rules of shop\/web:http\/TCP\/IPv4 are no longer refused/)
    expect(await node.differences()).toEqual([])
    expect((await readyz()).applied).not.toHaveProperty('refused')
    agent.signal('SIGTERM')
    await agent.ended
    const { stdout } = await node.pointsman('log', '--log', node.log, '--type', 'notice', '--limit', '2')
    expect(stdout).toMatch(/SERVICES_ACCEPTED[\s\S]*SERVICES_REFUSED/)
    expect(stdout).toContain(`the rules of ${WEB} are refused, and the previous ones stay in place: `)
  })
})
