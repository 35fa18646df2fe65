import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openChangeLog } from '@pointsman/core/io'
import { createTestAuthority } from '@pointsman/core/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { freePort } from '../../packages/cli/src/agent/http/test-support/ask.js'
import { runPointsman } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'

const HOSTILE = fileURLToPath(new URL('../../fixtures/security/08-http-101-hangs-watch/hostile.mjs', import.meta.url))

const folder = temporaryFolder()
const authority = createTestAuthority()
const { certificate, key } = authority.issue({ commonName: 'kube-apiserver', names: ['127.0.0.1', '127.0.0.2'] })
writeFileSync(folder.path('tls.crt'), certificate)
writeFileSync(folder.path('tls.key'), key)

const servers: ReturnType<typeof spawn>[] = []
afterAll(() => {
  for (const server of servers) server.kill('SIGKILL')
  folder.remove()
})

/** Records from a server that misbehaves in one way; gives what became of it. */
async function recordFrom(mode: string, ...args: readonly string[]) {
  const port = await freePort()
  const env = { PATH: process.env['PATH'], CERTS: folder.path(''), QUIET: '1' }
  const started = spawn(process.execPath, [HOSTILE, mode, String(port)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  servers.push(started)
  await once(started.stdout, 'data')
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': Buffer.from(authority.certificate).toString('base64'),
  }
  const kubeconfig = folder.path(`kubeconfig-${mode}`)
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token: 't' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  )
  const log = folder.path(`${mode}.db`)
  const startedAt = performance.now()
  const ended = await runPointsman(['record', '--kubeconfig', kubeconfig, '--log', log, ...args], {
    env: { NODE_OPTIONS: '--max-old-space-size=512' },
  })
  const reader = openChangeLog(log)
  const lost = [...reader.records({ types: ['notice'] })].flatMap((record) =>
    record.type === 'notice' && record.code === 'WATCH_LOST' ? [record.details?.['cause']] : [],
  )
  reader.close()
  return { ...ended, lost, tookMs: performance.now() - startedAt }
}

/**
 * fixtures/security/08-http-101-hangs-watch, mode by mode: each is reported, and `--for` ends on time, as an error where nothing could be recorded. All at once: they wait
 * rather than work.
 */
describe.concurrent('a server that', () => {
  test.each([
    ['upgrade', 'BAD_ANSWER', '15s'],
    ['redirect', 'BAD_ANSWER', '15s'],
    ['redirect307', 'BAD_ANSWER', '15s'],
    ['html', 'BAD_ANSWER', '15s'],
    ['429', 'THROTTLED', '15s'],
    ['endlessline', 'TOO_LONG', '15s'],
    ['endlessrefusal', 'SERVER_ERROR', '15s'],
    ['endlessheader', 'BAD_ANSWER', '15s'],
    ['manyheaders', 'BAD_ANSWER', '15s'],
    ['garbage', 'BAD_ANSWER', '15s'],
    ['chunkgarbage', 'GARBLED', '15s'],
  ])('answers in the way of %s is lost as %s', async (mode, code, duration) => {
    const { status, stderr, lost, tookMs } = await recordFrom(mode, '--for', duration)
    expect(stderr).not.toMatch(/^\s+at /m)
    // What answers at all is reached: 200, and the head of a list or a watch.
    const reached = ['endlessline', 'chunkgarbage'].includes(mode)
    expect(status).toBe(reached ? 0 : 3)
    expect(lost).toContain(code)
    expect(tookMs).toBeLessThan(50_000)
  })

  test('lists without end is left on time, and its log is no larger than it may be by far', async () => {
    const { status, stderr, tookMs } = await recordFrom('endlesspages', '--for', '12s', '--log-max-size', '1Mi')
    expect([0, 3]).toContain(status)
    if (status === 3) expect(stderr).toMatch(/the disk is full.*exceeds --log-max-size \(1048576\)/)
    expect(tookMs).toBeLessThan(45_000)
  })

  test('drips blanks in place of a list is lost, and asked again', { timeout: 120_000 }, async () => {
    const { status, stderr, lost } = await recordFrom('drip', '--for', '40s')
    expect(stderr).toMatch(/no event or bookmark received.*for 30 s/)
    // One a kind: ServiceCIDRs are recorded as well.
    expect(lost).toEqual(['SILENT', 'SILENT', 'SILENT', 'SILENT'])
    expect(status).toBe(0)
  })
})

test.each([
  [['--log-max-size', 'big'], '--log-max-size "big" is not a size such as 512Mi'],
  [['--log-max-age', '7d'], '--log-max-age "7d" is not a duration such as 168h'],
])('%j is refused', async (args, message) => {
  const { status, stderr } = await runPointsman(['record', '--log', folder.path('none.db'), ...args])
  expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
})
