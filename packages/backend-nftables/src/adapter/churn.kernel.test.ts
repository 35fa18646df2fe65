import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { DEFAULT_PROXY_CONFIG, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { runProcess } from 'node-iptables'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeWithNft, enterKernelNamespace, type EnteredNamespace } from '../test-support/kernel.js'
import { openNft } from './nft.js'
import { createNftablesBackend } from './nftables-backend.js'

const FLOOD = fileURLToPath(new URL('../../src/test-support/flood.mjs', import.meta.url))
const PORT = 'shop/dns:udp'
const CHANGES = 20

/** Endpoints are addresses of this machine; each state has others than the one before, and one more or fewer. */
const stateWith = (round: number): State =>
  stateOf({
    ports: [
      {
        is: PORT,
        protocol: 'UDP',
        clusterIP: '10.96.0.1',
        port: 80,
        endpoints: Array.from(
          { length: 4 + (round % 2) },
          (_, index) => `10.128.0.${1 + ((round + index) % 8)}:8080@node-b`,
        ),
      },
    ],
  })

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

  // In layout `kube-proxy` the kernel loses one now and then, as it does for kube-proxy: see docs/adr/0009.
  it('all reach an endpoint, in layout compact', async () => {
    const backend = createNftablesBackend({
      config: { ...DEFAULT_PROXY_CONFIG, mode: 'nftables', layout: 'compact', nodePortAddresses: 'primary' },
      families: ['IPv4'],
      nft: await openNft({ run: runProcess }),
    })
    const { signal } = new AbortController()
    const sync = async (round: number): Promise<void> => {
      const state = stateWith(round)
      const changed = round === 0 ? ('all' as const) : new Set(state.services.keys())
      await backend.sync({ state, changed, fromSeq: seq(round + 1), toSeq: seq(round + 1) }, signal)
    }
    await sync(0)
    const flood = spawn(process.execPath, [FLOOD, '10.96.0.1', '80'], { stdio: ['pipe', 'pipe', 'inherit'] })
    const sent = text(flood.stdout)
    await expect.poll(() => counted('translated')).toBeGreaterThan(0)
    for (let round = 1; round <= CHANGES; round++) await sync(round)
    flood.stdin.end()
    await once(flood, 'exit')
    expect(Number(await sent)).toBeGreaterThan(CHANGES)
    expect(counted('untranslated')).toBe(0)
    // What is no front is counted, so that the counter would have shown one.
    namespace.run([
      process.execPath,
      '-e',
      "const s = require('dgram').createSocket('udp4'); s.send('x', 81, '10.96.0.1', () => s.close())",
    ])
    expect(counted('untranslated')).toBe(1)
    await backend.close()
  })
})
