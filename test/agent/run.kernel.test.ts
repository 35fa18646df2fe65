import { service, slice } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { listsAskedOf, webService, webSlice, worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'

const SERVICES = 2000

describeIptables('the agent', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(SERVICES))
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  afterEach(() => node.stopAll())

  const lists = async (): Promise<number> => listsAskedOf({ requests: await node.server.requests() })

  test('has the rules of thousands of services as `render` gives them, and follows their changes', async () => {
    const agent = node.start()
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])

    await node.server.put(webSlice(7, 5))
    await node.server.put(service({ name: 'late', spec: { clusterIP: '10.97.0.1', clusterIPs: ['10.97.0.1'] } }))
    await node.server.put(slice({ name: 'late-1', service: 'late', endpoints: ['10.244.9.9'] }))
    await node.server.delete(webService(8))
    await node.converged(20_000)
    expect(node.run('iptables-nft-save -t nat')).toContain('10.244.9.9')
    // One a kind, and nothing was listed twice.
    expect(await lists()).toBe(3)

    agent.signal('SIGTERM')
    const asked = performance.now()
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    expect(performance.now() - asked).toBeLessThan(5000)
    expect(await node.differences()).toEqual([])
  })

  test('goes on where its log ends, and writes nothing where the rules are right', async () => {
    const listsBefore = await lists()
    const agent = node.start()
    await agent.hasSaid(/watching EndpointSlice/)
    await agent.hasSaid(/synced everything .* 0 bytes written/)
    expect(await lists()).toBe(listsBefore)
    const { status, body } = await node.get('http://127.0.0.1:10256/healthz')
    expect({ status, healthy: (JSON.parse(body) as { healthy: boolean }).healthy }).toEqual({
      status: 200,
      healthy: true,
    })
    agent.signal('SIGTERM')
    expect((await agent.ended).status).toBe(0)
  })

  test('brings what its log knows into force with the server gone, and what happened meanwhile when it is back', async () => {
    await node.server.goAway()
    emptyTables(node)
    const agent = node.start()
    await agent.hasSaid(/starting from the logged state/)
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    await agent.hasSaid(/the API server cannot be reached/)
    const ready = await node.get('http://127.0.0.1:10249/readyz')
    expect(ready.status).toBe(503)
    expect(ready.body).toContain('"apiServer"')

    await node.server.put(webSlice(9, 4))
    await node.server.comeBack()
    await node.converged(60_000)
    agent.signal('SIGTERM')
    expect((await agent.ended).status).toBe(0)
  })

  test('puts right what somebody else changes, and says who it was', async () => {
    const agent = node.start()
    await agent.hasSaid(/synced everything/)
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await agent.hasSaid(/IPv4 rules in 1 chain were modified externally.*nat KUBE-SERVICES/)
    expect(await node.differences()).toEqual([])
    const { body } = await node.get('http://127.0.0.1:10249/readyz')
    expect(JSON.parse(body)).toMatchObject({ checks: { audit: { ok: true, listening: true } } })
    agent.signal('SIGTERM')
    await agent.ended
    const { stdout } = await node.pointsman('log', '--log', node.log, '--limit', '5')
    expect(stdout).toMatch(/RULES_CHANGED[\s\S]*nat KUBE-SERVICES[\s\S]*iptables/)
  })
})

/** As after a start of the machine. */
function emptyTables({ run }: AgentNode): void {
  for (const table of ['nat', 'filter', 'mangle']) {
    run(`iptables-nft -t ${table} -F`)
    run(`iptables-nft -t ${table} -X`)
  }
}
