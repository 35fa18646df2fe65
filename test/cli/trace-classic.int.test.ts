import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'

/** `conclusion`: all above the way. */
async function trace(packet: string, args: readonly string[]): Promise<Ended & { conclusion: readonly string[] }> {
  const ended = await runPointsman(['trace', packet, ...args])
  return { ...ended, conclusion: (ended.stdout.split('\n\n')[0] ?? '').split('\n').slice(2) }
}

describe('an external IP of kube-proxy 1.20, whose rule asks for ports of bridges', () => {
  const golden = fileURLToPath(new URL('../../fixtures/golden/kube-proxy-1.20/external-ips/', import.meta.url))
  const given = ['--rules', `${golden}iptables-save.txt`, '--objects', `${golden}objects.json`]
  const assumed = (conclusion: readonly string[]): readonly string[] =>
    conclusion.filter((line) => line.startsWith('  assumed: ')).map((line) => line.slice('  assumed: '.length))

  test.each([
    ['outside', [], '198.18.0.1 is no pod of this node: taken to come in by no port of a bridge'],
    ['10.244.2.9', [], '10.244.2.9 is no pod of this node: taken to come in by no port of a bridge'],
    ['10.244.1.9', ['--in-interface', 'cali12'], 'it arrives by cali12: taken to come in by no port of a bridge'],
  ])('serves %s %j, which is said to come by none', async (source, args, message) => {
    const { status, conclusion } = await trace(`tcp ${source} -> 203.0.113.10:80`, [...given, ...args])
    expect(status).toBe(0)
    expect(conclusion[0]).toBe('  reaches one of 2 endpoints')
    expect(assumed(conclusion)).toEqual([expect.stringContaining(message)])
  })

  test.each([
    ['10.244.1.9', []],
    ['outside', ['--in-interface', 'br0']],
  ])('leaves open what becomes of %s %j, which may come by one', async (source, args) => {
    const { status, conclusion } = await trace(`tcp ${source} -> 203.0.113.10:80`, [...given, ...args])
    expect(status).toBe(4)
    expect(assumed(conclusion)).toEqual([])
  })

  test('assumes nothing of what is given, or of a packet that no such rule decides about', async () => {
    for (const [packet, args, expected] of [
      ['tcp outside -> 203.0.113.10:80', ['--physdev-in', 'eth0'], 1],
      ['tcp outside -> 203.0.113.10:80', ['--physdev-in', 'none'], 0],
      ['tcp outside -> 10.96.7.7:80', [], 0],
    ] as const) {
      const { status, conclusion } = await trace(packet, [...given, ...args])
      expect([status, assumed(conclusion)]).toEqual([expected, []])
    }
  })
})
