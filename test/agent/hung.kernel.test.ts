import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { webSlice, worldOf } from '../source/world.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'

/** It reads what it is given and then does nothing, once. */
const SCRIPT = `#!/bin/sh
folder=$(dirname "$0")
PATH=\${PATH#*:}
[ -e "$folder/hang" ] || exec iptables-nft-restore "$@"
cat > /dev/null
mv "$folder/hang" "$folder/hung"
sleep 600 &
echo $! > "$folder/sleep"
wait
`

describeIptables('an agent whose iptables-restore hangs', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(5))
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  test('ends it after its time, with what it started, and then programs what it was for and what came since', async () => {
    const path = folder.path('bin')
    mkdirSync(path)
    writeFileSync(join(path, 'iptables-nft-restore'), SCRIPT, { mode: 0o755 })
    const agent = node.startWith(path)
    await agent.hasSaid(/synced everything/)

    writeFileSync(join(path, 'hang'), '')
    await node.server.put(webSlice(1, 7))
    await expect.poll(() => existsSync(join(path, 'hung')), { timeout: 20_000 }).toBe(true)
    await node.server.put(webSlice(2, 8))
    const { body } = await node.get('http://127.0.0.1:10249/readyz')
    expect(JSON.parse(body)).toHaveProperty('checks')
    await agent.hasSaid(/iptables-nft-restore.* timed out/)
    await node.converged(30_000)
    const pid = readFileSync(join(path, 'sleep'), 'utf8').trim()
    // It was killed with its group; whoever took it over may take a moment to notice.
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false)
  })
})
