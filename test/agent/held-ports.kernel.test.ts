import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { service, slice } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { holdPort } from './hold-port.js'
import { NODE_PORT, SMALL_WORLD } from './small-world.js'

const NODE = '192.168.55.10'
const UDP_PORT = 30_053

/** An external IP that is the node's own address. */
const external = service({ name: 'external', spec: { clusterIP: '10.96.0.40', externalIPs: [NODE] } })
const dns = service({
  name: 'dns',
  spec: {
    type: 'NodePort',
    clusterIP: '10.96.0.50',
    ports: [{ name: 'dns', protocol: 'UDP', port: 53, targetPort: 5353, nodePort: UDP_PORT }],
  },
})

const dnsSlice = slice({
  name: 'dns-1',
  service: 'dns',
  endpoints: ['10.244.1.8'],
  ports: [{ name: 'dns', protocol: 'UDP', port: 5353 }],
})

describeIptables('an agent of layout classic', () => {
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
  afterEach(() => node.stopAll())

  const soon = (look: () => unknown): Promise<unknown> => vi.waitFor(look, { timeout: 15_000, interval: 100 })
  const listening = (): string => node.run('ss -Hlntu')
  const nat = (): string => node.run('iptables-nft-save -t nat')

  test('holds node ports and external IPs of the node, in place of other processes', async () => {
    const free = await holdPort(80)
    const agent = node.start(
      '--layout',
      'classic',
      '--iptables-sync-period',
      '1s',
      '--iptables-min-sync-period',
      '100ms',
    )
    await agent.hasSaid(/synced everything/)
    expect(listening()).toMatch(new RegExp(`tcp .*0\\.0\\.0\\.0:${NODE_PORT}\\b`))

    await node.server.putAll([external, slice({ name: 'external-1', service: 'external', endpoints: ['10.244.1.9'] })])
    await agent.hasSaid(/cannot hold external IP 192\.168\.55\.10:80\/TCP of shop\/external:http open: another process/)
    await soon(() => expect(nat()).toContain('10.96.0.40/32'))
    expect(nat()).not.toContain(`-d ${NODE}/32`)
    const { ports } = JSON.parse((await node.get('http://127.0.0.1:10249/readyz')).body) as {
      readonly ports: { readonly failed: readonly { readonly served: boolean }[] }
    }
    expect(ports.failed).toMatchObject([
      { port: 'external IP 192.168.55.10:80/TCP of shop/external:http', served: false },
    ])
    free()
    await agent.hasSaid(/holding external IP 192\.168\.55\.10:80\/TCP of shop\/external:http open now/)
    await soon(() => expect(nat()).toContain(`-A KUBE-SERVICES -d ${NODE}/32`))
    expect(listening()).toMatch(/tcp .*192\.168\.55\.10:80\b/)

    await node.server.delete(external)
    await soon(() => expect(listening()).not.toMatch(/192\.168\.55\.10:80\b/))

    // A flow that is older than the Service goes to the node itself, and would go on doing so.
    const client = createSocket('udp4').on('error', () => undefined)
    client.send('?', UDP_PORT, NODE)
    const flows = (): string => node.run(`conntrack -L -p udp --orig-port-dst ${UDP_PORT}`)
    await soon(() => expect(flows()).toContain(`dport=${UDP_PORT}`))
    await node.server.putAll([dns, dnsSlice])
    await soon(() => expect(listening()).toMatch(new RegExp(`udp .*0\\.0\\.0\\.0:${UDP_PORT}\\b`)))
    await soon(() => expect(flows()).toBe(''))
    client.close()

    agent.signal('SIGTERM')
    expect((await agent.ended).status).toBe(0)
    expect(listening()).not.toMatch(new RegExp(`:(?:${NODE_PORT}|${UDP_PORT})\\b`))
  })

  test('gets no packet of a port that it holds while rules lead to endpoints', async () => {
    const agent = node.start('--layout', 'classic')
    await agent.hasSaid(/synced everything/)
    const client = connect(NODE_PORT, NODE).on('error', () => undefined)
    // There is no way to the endpoint from here, but it is where the packet is sent.
    await soon(() => expect(node.run('iptables-nft-save -c -t nat')).toMatch(/^\[[1-9].* -A KUBE-SEP-.* -j DNAT/m))
    client.destroy()
  })

  test('leaves ports alone if asked to, and layout current unasked', async () => {
    for (const args of [['--layout', 'classic', '--hold-node-ports=false'], []]) {
      const agent = node.start(...args)
      await agent.hasSaid(/synced everything/)
      expect(listening()).not.toMatch(new RegExp(`:${NODE_PORT}\\b`))
      agent.signal('SIGTERM')
      await agent.ended
    }
    const agent = node.start('--hold-node-ports')
    await agent.hasSaid(/synced everything/)
    expect(listening()).toMatch(new RegExp(`tcp .*0\\.0\\.0\\.0:${NODE_PORT}\\b`))
  })
})
