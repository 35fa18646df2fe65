import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ServicePortName } from '@pointsman/core'
import { createToyDataplane } from '@pointsman/core/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { runInProcess } from '../support/run-in-process.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

// What a command knows of rules, it knows from the data plane: with another one it works as it is.
const folder = temporaryFolder()
const log = folder.path('shop.db')
const dataplane = createToyDataplane()
const golden = (file: string): string =>
  fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.36/cluster-ip/${file}`, import.meta.url))
const CIDR = ['--cluster-cidr', '10.244.0.0/16']

async function pointsman(...args: readonly string[]) {
  const command = runInProcess(args, { dataplanes: [dataplane] })
  const status = await command.ended
  return { status, stdout: command.stdout(), stderr: command.stderr() }
}

beforeAll(async () => void (await pointsman('import', SHOP_RECORDING, '--log', log)))
afterAll(folder.remove)

const FRONTEND = 'to-shop-frontend-http-TCP-IPv4'

describe('with a data plane in memory', () => {
  test('rules and render list its items', async () => {
    const rendered = await pointsman('render', '--log', log, ...CIDR)
    expect(rendered).toMatchObject({ status: 0, stdout: expect.stringContaining(`add ${FRONTEND} 10.244.1.10:8080`) })
    const rules = await pointsman('rules', 'shop/frontend', '--log', log, ...CIDR)
    expect(rules).toMatchObject({ status: 0, stdout: expect.stringContaining('node port      30080') })
    expect(rules.stdout).toContain(`toy ${FRONTEND}  spreads over its endpoints`)
    const ofChain = await pointsman('rules', FRONTEND, '--log', log, ...CIDR, '-o', 'json')
    expect(ofChain.status).toBe(0)
    expect(JSON.parse(ofChain.stdout)).toMatchObject({ kind: 'RuleList', family: 'IPv4' })
  })

  test('blame and diff find the records behind them', async () => {
    const blamed = await pointsman('blame', 'shop/frontend', '--log', log, ...CIDR, '-o', 'json')
    expect(blamed.status).toBe(0)
    const { items } = JSON.parse(blamed.stdout) as { readonly items: readonly { readonly rule: string }[] }
    expect(items.map(({ rule }) => rule)).toEqual(expect.arrayContaining([expect.stringContaining('10.244.1.10:8080')]))
    const different = await pointsman('diff', '1', '128', '--log', log, ...CIDR)
    expect(different).toMatchObject({ status: 1, stdout: expect.stringContaining(FRONTEND) })
  })

  test('trace follows a packet through its items', async () => {
    const traced = await pointsman('trace', 'tcp 10.244.1.9 -> shop/frontend:http', '--log', log, ...CIDR)
    expect(traced).toMatchObject({ status: 0, stdout: expect.stringContaining('reaches one of ') })
    expect(traced.stdout).toContain('10.244.1.10:8080')
    const json = await pointsman('trace', 'tcp 10.244.1.9 -> 192.0.2.1:80', '--log', log, ...CIDR, '-o', 'json')
    expect(json.status).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ kind: 'Trace', fate: 'no-service' })
  })

  test('audit holds what it has loaded, or a listing, against what it should have', async () => {
    const nothing = await pointsman('audit', '--log', log, ...CIDR)
    expect(nothing).toMatchObject({ status: 1, stdout: expect.stringContaining('missing lines') })
    expect(nothing.stdout).toContain('MISSING_LINE: the line is not there')
    expect(nothing.stdout).toContain('to do: load the toy again')
    const listing = folder.path('toy.txt')
    const rendered = await pointsman('render', '--log', log, ...CIDR, '--family', 'ipv4')
    writeFileSync(listing, `${rendered.stdout}add ${FRONTEND} 192.0.2.7:80\n`)
    const saved = ['audit', '--rules', listing, '--family', 'ipv4', '--log', log, ...CIDR]
    const audited = await pointsman(...saved, '-o', 'json')
    const { items } = JSON.parse(audited.stdout) as { readonly items: readonly object[] }
    expect(items).toMatchObject([{ type: 'EXTRA_LINE', chain: FRONTEND, found: [`add ${FRONTEND} 192.0.2.7:80`] }])
  })

  test('apply writes, a dry run does not, and cleanup removes', async () => {
    const objects = golden('objects.json')
    const planned = await pointsman('apply', objects, ...CIDR, '--dry-run')
    expect(planned).toMatchObject({ status: 0, stdout: expect.stringMatching(/^# IPv4: toy --load\nadd /) })
    expect(dataplane.kernel.lines.size).toBe(0)
    const applied = await pointsman('apply', objects, ...CIDR)
    expect(applied).toMatchObject({ status: 0, stdout: expect.stringContaining('with toy 1.0: ') })
    expect(dataplane.kernel.lines.get('IPv4')?.size).toBeGreaterThan(1)
    expect((await pointsman('apply', objects, ...CIDR)).stdout).toContain('nothing to do')
    const removed = await pointsman('cleanup', '-o', 'json')
    expect(JSON.parse(removed.stdout)).toMatchObject({
      items: [
        { family: 'IPv4', toy: '1.0' },
        { family: 'IPv6', toy: '1.0' },
      ],
    })
    expect(await pointsman('cleanup')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^nothing to remove/) })
  })

  test('apply and replay name the service ports that it refuses, do everything else, and fail', async () => {
    const refused = 'shop/frontend:http/TCP/IPv4' as ServicePortName
    const item = { servicePort: refused, code: 'TOY_FAILED', message: `the toy refuses the lines of ${refused}` }
    dataplane.kernel.refused.add(refused)
    try {
      const recordedTo = folder.path('refused.db')
      const replayed = await pointsman('replay', log, ...CIDR, '--backend', 'toy', '--record', recordedTo, '-o', 'json')
      expect(replayed.status).toBe(3)
      expect(replayed.stderr).toContain(
        `previous rules stay in place; all other service ports are up to date: ${refused}`,
      )
      const summary = JSON.parse(replayed.stdout) as object
      expect(summary).toMatchObject({ failures: 0, refused: [item] })
      // `backend` names the data planes that ship.
      expect(schemaProblems({ ...summary, backend: 'mock' }, JSON_SCHEMAS.ReplaySummary)).toEqual([])
      const text = await pointsman('replay', log, ...CIDR, '--backend', 'toy')
      expect(text.stdout).toContain('  refused        1 service port kept the previous rules')

      const notices = await pointsman('log', '--log', recordedTo, '--type', 'notice')
      expect(notices.stdout).toContain(
        `the rules of ${refused} are refused, and the previous ones stay in place: the toy`,
      )
      const syncs = await pointsman('log', '--log', recordedTo, '--type', 'sync', '-o', 'json')
      const records = JSON.parse(syncs.stdout) as { readonly items: readonly { readonly refused?: number }[] }
      expect(records.items[0]).toMatchObject({ refused: 1, rules: expect.any(Number) })
      expect(schemaProblems(records, JSON_SCHEMAS.RecordList)).toEqual([])

      const objects = golden('objects.json')
      const owner = 'pks-system/tenant-service/TCP/IPv4' as ServicePortName
      dataplane.kernel.refused.add(owner)
      const applied = await pointsman('apply', objects, ...CIDR, '-o', 'json')
      expect(applied.status).toBe(3)
      expect(JSON.parse(applied.stdout)).toMatchObject({ refused: [{ servicePort: owner, code: 'TOY_FAILED' }] })
      const appliedText = await pointsman('apply', objects, ...CIDR)
      expect(appliedText).toMatchObject({
        status: 3,
        stdout: expect.stringContaining('of which 1 kept its previous rules'),
      })
    } finally {
      dataplane.kernel.refused.clear()
    }
    expect((await pointsman('replay', log, ...CIDR, '--backend', 'toy')).status).toBe(0)
  })

  test('replay syncs to it by its mode', async () => {
    const replayed = await pointsman('replay', log, ...CIDR, '--backend', 'toy')
    expect(replayed).toMatchObject({ status: 0, stdout: expect.stringContaining('to toy') })
    expect(dataplane.kernel.lines.get('IPv4')?.size).toBeGreaterThan(5)
  })

  test('a configuration of another mode is refused in one line', async () => {
    const config = golden('config.json')
    const refused = await pointsman('rules', '--log', log, '--config', config)
    expect(refused.status).toBe(2)
    expect(refused.stderr).toContain('set it to toy or leave it out')
  })
})
