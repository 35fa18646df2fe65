import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { conntrackMax } from '../../packages/cli/src/agent/machine-settings.js'
import { listsAskedOf, webService, webSlice, worldOf } from '../source/world.js'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { type ConfigMapVolume, createConfigMapVolume } from './config-map-volume.js'
import { type RunningAgent, startAgent } from './running-agent.js'

const SERVICES = 20
const CONFIG = readFileSync(new URL('../../fixtures/configurations/kubeadm.yaml', import.meta.url), 'utf8')
/** conntrack's table is the whole machine's. */
const TABLE = ['/proc/sys/net/netfilter/nf_conntrack_max', '/sys/module/nf_conntrack/parameters/hashsize'] as const

describeIptables('what kubeadm made for kube-proxy', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  let configMap: ConfigMapVolume
  let account: ConfigMapVolume
  let agent: RunningAgent | undefined

  beforeAll(async () => {
    // kubeadm's kubeconfig names the API server by address and port.
    node = await createAgentNode(folder, { server: { host: '192.168.55.10', port: 6443 } })
    await node.server.putAll(worldOf(SERVICES))
    configMap = createConfigMapVolume(folder.path('kube-proxy'))
    configMap.write({ 'config.conf': CONFIG, 'kubeconfig.conf': KUBECONFIG })
    account = createConfigMapVolume(folder.path('serviceaccount'))
    account.write({ 'ca.crt': authorityOf(await node.server.kubeconfig()), token: node.server.token })
  })
  afterAll(() => {
    agent?.signal('SIGKILL')
    node.remove()
    folder.remove()
  })

  /** At the very paths of kube-proxy's pod, in a mount namespace of the agent's own. */
  const start = (): RunningAgent => {
    const mounts = [
      'mount -t tmpfs none /var/lib && mkdir /var/lib/kube-proxy',
      `mount --bind ${configMap.path} /var/lib/kube-proxy`,
      `mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount`,
      `mount --bind ${account.path} /run/secrets/kubernetes.io/serviceaccount`,
      'exec "$@"',
    ].join(' && ')
    const prefix = ['unshare', '--mount', 'sh', '-c', mounts, 'sh']
    return startAgent([...KUBEADM_FLAGS, ...sparingFlags()], { prefix })
  }

  test('starts the agent, which follows the cluster through a change of its token and ends when the ConfigMap is edited', async () => {
    const table = tableSizes()
    agent = start()
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    expect(tableSizes()).toEqual(table)
    const { status } = await node.get('http://127.0.0.1:10256/healthz')
    expect(status).toBe(200)

    // kubelet replaces the token; the API server forgets the old one, and ends what was begun with it.
    account.write({ 'ca.crt': authorityOf(await node.server.kubeconfig()), token: 'another-token' })
    await node.server.setTokens({ 'another-token': 'system:serviceaccount:kube-system:kube-proxy' })
    await node.server.disturb({ type: 'reset' })
    await node.server.put(webSlice(3, 7))
    await node.server.delete(webService(4))
    await node.converged(20_000)
    expect(listsAskedOf({ requests: await node.server.requests() })).toBe(3)

    const before = agent.said()
    configMap.write({
      'config.conf': CONFIG.replace('syncPeriod: 0s', 'syncPeriod: 45s'),
      'kubeconfig.conf': KUBECONFIG,
    })
    expect(await agent.ended).toEqual({ status: 3, signal: null })
    expect(agent.said().slice(before.length)).toMatch(
      /(?:^|\n).*\/var\/lib\/kube-proxy\/config\.conf was changed: exiting, to be restarted with the new configuration\n$/,
    )
    expect(await node.differences()).toEqual([])
  })
})

/** As in the DaemonSet; its `$(NODE_NAME)` is filled in. */
const KUBEADM_FLAGS = ['--config=/var/lib/kube-proxy/config.conf', '--hostname-override=node-a']

const tableSizes = (): readonly number[] => TABLE.map((path) => Number(readFileSync(path, 'utf8')))

/** kube-proxy's defaults would enlarge the table of a small machine, which is not this test's to enlarge. */
function sparingFlags(): readonly string[] {
  const wanted = conntrackMax({ maxPerCore: 32_768, min: 131_072 }, cpus().length)
  const [max = 0, hashsize = 0] = tableSizes()
  return max >= wanted && hashsize >= wanted / 4 ? [] : ['--conntrack-max-per-core=0']
}

/** As kubeadm writes it into the ConfigMap kube-proxy, but for the address. */
const KUBECONFIG = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://192.168.55.10:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`

/** PEM. */
function authorityOf(kubeconfig: string): string {
  const [, data = ''] = /"certificate-authority-data": "([^"]+)"/.exec(kubeconfig) ?? []
  return Buffer.from(data, 'base64').toString()
}
