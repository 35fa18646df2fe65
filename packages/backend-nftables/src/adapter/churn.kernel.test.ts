import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { DEFAULT_PROXY_CONFIG, type FamilySyncReport, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { runProcess } from 'node-iptables'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { nftablesDataplane } from '../dataplane.js'
import { serviceChainNames } from '../layout/names.js'
import { LAYOUTS } from '../plan/rule-plan.js'
import { faultyWays } from '../test-support/faulty-ways.js'
import { describeWithNft, differencesOf, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { openNetlink } from './netlink.js'
import { openNft } from './nft.js'
import { createNftablesBackend } from './nftables-backend.js'

const script = (name: string): string => fileURLToPath(new URL(`../../src/test-support/${name}.mjs`, import.meta.url))
const CHANGES = 20

/** Endpoints are addresses of this machine; each state has others than the one before, and one more or fewer. */
const stateWith = (round: number): State => {
  const endpoints = Array.from(
    { length: 4 + (round % 2) },
    (_, index) => `10.128.0.${1 + ((round + index) % 8)}:8080@node-b`,
  )
  return stateOf({
    ports: [
      { is: 'shop/dns:udp', protocol: 'UDP', clusterIP: '10.96.0.1', port: 80, endpoints },
      { is: 'shop/web:http', clusterIP: '10.96.0.1', port: 81, endpoints },
      { is: 'shop/sticky:http', clusterIP: '10.96.0.1', port: 82, affinitySeconds: 600, endpoints },
      {
        is: 'shop/edge:http',
        clusterIP: '10.96.0.1',
        port: 83,
        externalIPs: ['10.96.0.2'],
        externalTrafficPolicy: 'Local',
        endpoints,
      },
    ],
  })
}

describeWithNft('new flows while the endpoints change', () => {
  let namespace: EnteredNamespace
  beforeEach(() => {
    namespace = enterKernelNamespace()
    const ip = (...args: readonly string[]): string => namespace.run(['ip', ...args])
    ip('link', 'set', 'lo', 'up')
    for (let host = 1; host <= 8; host++) ip('addr', 'add', `10.128.0.${host}/32`, 'dev', 'lo')
    ip('route', 'add', '10.96.0.0/16', 'dev', 'lo')
    // After destination NAT, and before what is not translated is rejected.
    namespace.run(
      ['nft', '-f', '-'],
      `table ip probe {
        counter untranslated { }
        counter translated { }
        chain out {
          type filter hook output priority -50;
          ip daddr 10.96.0.1 counter name untranslated
          ip daddr 10.128.0.0/24 udp dport 8080 counter name translated
        }
      }`,
    )
  })
  afterEach(() => namespace.remove())

  const counted = (name: string): number =>
    Number(/packets (\d+)/.exec(namespace.run(['nft', 'list', 'counter', 'ip', 'probe', name]))?.[1])

  it.each(LAYOUTS)('all reach an endpoint, and those that are held live on, in layout $name', async ({ name }) => {
    const backend = createNftablesBackend({
      config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout: name, nodePortAddresses: 'primary' },
      families: ['IPv4'],
      nft: await openNft({ run: runProcess }),
      netlink: await openNetlink(),
    })
    const { signal } = new AbortController()
    const sync = async (round: number): Promise<void> => {
      const state = stateWith(round)
      const changed = round === 0 ? ('all' as const) : new Set(state.services.keys())
      await backend.sync({ state, changed, fromSeq: seq(round + 1), toSeq: seq(round + 1) }, signal)
    }
    await sync(0)
    const talk = start('talk', '10.96.0.1', '81,82,83', '8080')
    const talked = text(talk.stdout)
    await once(talk.stderr, 'data')
    const flood = start('flood', '10.96.0.1', '80')
    const sent = text(flood.stdout)
    await expect.poll(() => counted('translated')).toBeGreaterThan(0)
    for (let round = 1; round <= CHANGES; round++) await sync(round)
    flood.stdin.end()
    talk.stdin.end()
    const { opened, ...rest } = JSON.parse(await talked) as { readonly opened: number }
    expect(rest).toEqual({ failed: [], held: 30, lost: [] })
    expect(opened).toBeGreaterThan(CHANGES)
    expect(Number(await sent)).toBeGreaterThan(CHANGES)
    expect(counted('untranslated')).toBe(0)
    // What is no front is counted, so that the counter would have shown one.
    namespace.run([
      process.execPath,
      '-e',
      "const s = require('dgram').createSocket('udp4'); s.send('x', 84, '10.96.0.1', () => s.close())",
    ])
    expect(counted('untranslated')).toBe(1)
    await backend.close()
  })

  it('leave the table as kube-proxy would write it', async () => {
    const nft = await openNft({ run: runProcess })
    const config = { ...DEFAULT_PROXY_CONFIG, mode: 'nftables' as const, nodePortAddresses: 'primary' as const }
    const backend = createNftablesBackend({ config, families: ['IPv4'], nft })
    const { signal } = new AbortController()
    const sync = async (round: number): Promise<unknown> => {
      const state = stateWith(round)
      const changed = round === 0 ? ('all' as const) : new Set(state.services.keys())
      return backend.sync({ state, changed, fromSeq: seq(round + 1), toSeq: seq(round + 1) }, signal)
    }
    const listed = (): string => namespace.run(['nft', '-s', '-j', 'list', 'table', 'ip', 'kube-proxy'])
    await sync(1)
    const first = listed()
    for (const round of [2, 4, 1]) await sync(round)
    expect(differencesOf(first, listed())).toEqual([])
    await backend.close()
  })
})

describeWithNft('rules that cannot be removed', () => {
  let namespace: EnteredNamespace
  beforeEach(() => {
    namespace = enterKernelNamespace()
  })
  afterEach(() => namespace.remove())

  it('are a failed cleanup: the new ones are in force, and the next sync removes the old', async () => {
    const { run, refuseWhen } = faultyWays(runProcess)
    const reports: FamilySyncReport[] = []
    const backend = createNftablesBackend({
      config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', nodePortAddresses: 'primary' },
      families: ['IPv4'],
      nft: await openNft({ run }),
      onFamilySync: (report) => void reports.push(report),
    })
    const { signal } = new AbortController()
    const sync = async (round: number): Promise<unknown> => {
      const state = stateWith(round)
      return backend.sync({ state, changed: new Set(state.services.keys()), fromSeq: seq(1), toSeq: seq(1) }, signal)
    }
    const chain = namedChain(stateWith(0))
    const rules = (): readonly string[] =>
      namespace.run(['nft', 'list', 'chain', 'ip', 'kube-proxy', chain]).match(/numgen.*|return/g) ?? []
    await sync(0)
    const [before] = rules()
    refuseWhen((lines) => lines.some((line) => line.startsWith('delete rule ')))
    await expect(sync(1)).rejects.toThrow('refused a transaction')
    const [inForce, between, ...old] = rules()
    expect(inForce).not.toBe(before)
    expect([between, ...old]).toEqual(['return', before])
    refuseWhen(() => false)
    await sync(1)
    expect(rules()).toEqual([inForce])
    const [counts] = reports.filter(({ failures }) => failures > 0)
    expect(counts).toMatchObject({ failures: 1, cleanupFailures: 1 })
    const counted = nftablesDataplane.metrics.syncs.map((metric) => [
      metric.name,
      counts && metric.value(counts, 'kube-proxy'),
    ])
    expect(counted).toEqual([
      ['kubeproxy_sync_proxy_rules_nftables_sync_failures_total', 0],
      ['kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total', 1],
    ])
    await backend.close()
  })
})

const namedChain = ({ services }: State): string => {
  const port = [...services.values()].find(({ id }) => id.startsWith('shop/web'))
  if (port === undefined) throw new Error('the state has no shop/web')
  return serviceChainNames(port).cluster
}

const start = (name: string, ...args: readonly string[]): ReturnType<typeof spawnPiped> =>
  spawnPiped([script(name), ...args])
const spawnPiped = (args: readonly string[]) => spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
