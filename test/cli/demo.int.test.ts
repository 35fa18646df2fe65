import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { runPointsmanProcess } from '../support/run-pointsman.js'
import type { Ended } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'
import { storyNode, storyService, storySlice, writeStory } from '../support/story.js'
import type { StoryObject } from '../support/story.js'

const folder = temporaryFolder()
afterAll(folder.remove)
const demo = (...args: readonly string[]): Promise<Ended> =>
  runPointsmanProcess(['demo', ...args], { env: { TMPDIR: folder.path('.') } })

async function tell(name: string, ...objects: readonly StoryObject[]): Promise<string> {
  const file = folder.path(`${name}.jsonl`)
  writeStory(file, { namespace: 'metro', steps: objects.map((object) => ({ object })) })
  const { status, stdout, stderr } = await demo('--recording', file)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

describe('the bundled incident', () => {
  test('is told: conclusion, cause, author, repair, the services before and after, and how to go on', async () => {
    const { status, stdout, stderr } = await demo()
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.split('\n').slice(0, 5)).toEqual([
      'shop/checkout had no endpoints for 6.3 s',
      '',
      '02:24:44.181  EndpointSlice shop/checkout-wbn79 lost its last 2 endpoints, 4 ms after kubectl-edit changed Service shop/checkout: selector app=checkout -> app=checkout,tier=backend',
      '02:24:50.500  kubectl-rollback fixed it 6.3 s later: selector app=checkout,tier=backend -> app=checkout',
      '',
    ])
    expect(stdout).toMatch(
      /\nBefore, at seq 106\n[^]*\n {2}shop\/checkout:http +10\.96\.50\.2:80\/TCP +10\.244\.1\.14:8080 10\.244\.3\.16:8080\n[^]*\nAfter/,
    )
    expect(stdout).toMatch(/\nAfter, at seq 108\n[^]*\n {2}shop\/checkout:http +10\.96\.50\.2:80\/TCP +none\n/)
    expect(stdout).toContain('  a packet to 10.96.50.2:80 reaches 10.244.1.14:8080 or 10.244.3.16:8080\n')
    expect(stdout).toContain('  a packet to 10.96.50.2:80 is rejected: shop/checkout:http has no endpoints\n')
    expect(stdout).toContain('Also: shop/auth 5 times (flapping), for 1.3 s in all\n')
    expect(stdout).toContain('128 watch events in 19.5 s: 19 of Services, 105 of EndpointSlices, 1 of Nodes')
    expect(stdout).toMatch(/\nReplayed to the mock backend: \d+ syncs, 13 service ports in force at the end\n/)
  })

  test('fits a screen', async () => {
    const lines = (await demo()).stdout.split('\n')
    expect(lines.length).toBeLessThan(40)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(200)
  })

  test('goes on with commands that work', async () => {
    const { stdout } = await demo()
    const commands = [...stdout.matchAll(/ {2}pointsman (.*)/g)].map(([, words = '']) =>
      [...words.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word),
    )
    expect(commands.map(([name]) => name)).toEqual(['log', 'services', 'blame', 'trace', 'bisect'])
    for (const command of commands) {
      const { status, stdout: answer } = await runPointsmanProcess(command)
      // The traced packet is turned away: that is what the incident is about.
      expect(status).toBe(command[0] === 'trace' ? 1 : 0)
      expect(answer).toContain('shop/checkout')
    }
  })

  test('is told in colour on demand, and the same without', async () => {
    const { stdout } = await runPointsmanProcess(['demo'], { env: { TMPDIR: folder.path('.'), FORCE_COLOR: '1' } })
    expect(stdout).toContain('\u001B[31m')
    const plain = (text: string): string => stripVTControlCharacters(text).replaceAll(/pointsman-demo-\w+/g, '')
    expect(plain(stdout)).toBe(plain((await demo()).stdout))
  })
})

describe('another recording', () => {
  const tram = { name: 'tram', address: '10.7.0.5' }
  const up = storySlice({ of: 'tram', pods: { '172.20.7.4': true, '172.20.8.4': true } })
  const before = [
    storyNode,
    storyService(tram),
    up,
    storyService({ name: 'bus', address: '10.7.0.6' }),
    storySlice({ of: 'bus', pods: { '172.20.7.9': true } }),
  ]

  test('with a target port that no pod has', async () => {
    const edited = storyService({ ...tram, targetPort: 'apo', by: 'argocd' })
    const text = await tell(
      'port',
      ...before,
      edited,
      storySlice({ of: 'tram', pods: { '172.20.7.4': true, '172.20.8.4': true }, withPorts: false }),
      storyNode,
    )
    expect(text).toMatch(/^metro\/tram has had no endpoints for 500 ms, up to the end of the recording\n/)
    expect(text).toContain(
      '09:30:03.000  EndpointSlice metro/tram-77 lost its last 2 endpoints, 500 ms after argocd changed Service metro/tram: spec.ports[api].targetPort api -> apo\n',
    )
    expect(text).toContain('  a packet to 10.7.0.5:443 is rejected: metro/tram:api has no endpoints\n')
    expect(text).not.toMatch(/shop|checkout/)
  })

  test('with a Service that was replaced: before is before the old one went', async () => {
    const file = folder.path('replaced.jsonl')
    const old = storyService(tram)
    const steps = [
      ...before.map((object) => ({ object })),
      { object: old, deleted: true as const },
      { object: storyService({ ...tram, selector: { app: 'tarm' }, by: 'jenkins' }) },
      { object: storySlice({ of: 'tram', pods: {} }) },
    ]
    writeStory(file, { namespace: 'metro', steps })
    const { status, stdout } = await demo('--recording', file)
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /\nBefore, at seq 5\n[^]*metro\/tram:api +10\.7\.0\.5:443\/TCP +172\.20\.7\.4:9443 172\.20\.8\.4:9443\n[^]*\nAfter, at seq 8\n/,
    )
  })

  test('with another selector, put right by somebody else', async () => {
    const edited = storyService({ ...tram, selector: { app: 'tarm' }, by: 'jenkins' })
    const text = await tell(
      'selector',
      ...before,
      edited,
      storySlice({ of: 'tram', pods: {} }),
      storyService({ ...tram, by: 'oncall' }),
      up,
    )
    expect(text).toMatch(/^metro\/tram had no endpoints for 1\.0 s\n/)
    expect(text).toContain('500 ms after jenkins changed Service metro/tram: selector app=tram -> app=tarm\n')
    expect(text).toContain('09:30:03.500  oncall fixed it 500 ms later: selector app=tarm -> app=tram\n')
  })

  test('scaled to nothing: no edit is made up', async () => {
    const text = await tell('scaled', ...before, storySlice({ of: 'bus', pods: {} }), storyNode)
    expect(text).toContain(
      'EndpointSlice metro/bus-77 lost its last endpoint: the pods were removed, and the Service was not edited\n',
    )
  })

  test('whose pods were not ready', async () => {
    const text = await tell('unready', ...before, storySlice({ of: 'bus', pods: { '172.20.7.9': false } }), storyNode)
    expect(text).toContain('lost its last endpoint: the pods are not ready, and the Service was not edited\n')
    expect(text).toContain('none of 1 ready')
  })

  test('in which nothing broke', async () => {
    const text = await tell('quiet', ...before)
    expect(text).toMatch(/^No service lost its endpoints\n/)
    expect(text).toMatch(/Next steps {2}pointsman services --log /)
  })

  test('that holds lines which are no events is told, with a warning and status 2', async () => {
    const file = folder.path('bad.jsonl')
    writeStory(file, { namespace: 'metro', steps: before.map((object) => ({ object })) })
    const { status, stderr, stdout } = await runPointsmanProcess(['demo', '--recording', '-'], {
      env: { TMPDIR: folder.path('.') },
      input: `${readFileSync(file, 'utf8')}nonsense\n`,
    })
    expect(status).toBe(2)
    expect(stderr).toBe('warning: 1 line of the recording was skipped: run `pointsman import` for the reasons\n')
    expect(stdout).toContain('No service lost its endpoints')
  })

  test('without times says that the times are estimated', async () => {
    const file = folder.path('without-times.jsonl')
    const lines = readFileSync(SHOP_RECORDING, 'utf8').trim().split('\n')
    const withoutTime = (line: string): string => line.replace(/"observedAt":"[^"]*",/, '')
    const objects = lines.filter((line) => !line.includes('"type":"BOOKMARK"')).map(withoutTime)
    writeFileSync(file, `${objects.join('\n')}\n`)
    const { status, stdout } = await demo('--recording', file)
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /\n125 watch events in .* 1 of Nodes, 125 with estimated times, times of 2026-11-21 in UTC\n/,
    )
    expect((await demo()).stdout).not.toContain('estimated')
  })

  test('that is not there', async () => {
    const { status, stderr } = await demo('--recording', '/nowhere/x.jsonl')
    expect(status).toBe(2)
    expect(stderr).toMatch(/^error: \/nowhere\/x\.jsonl: no such file.*\n$/)
  })
})

test('no name of the bundled recording stands in what finds and tells the incident', () => {
  const names = new Set(
    readFileSync(SHOP_RECORDING, 'utf8')
      .match(/"name":"[^"]{4,}"/g)
      ?.map((match) => match.slice(8, -1)),
  )
  const folders = ['packages/cli/src/commands/demo', 'packages/core/src/debug'].map((path) =>
    fileURLToPath(new URL(`../../${path}/`, import.meta.url)),
  )
  const sources = folders.flatMap((path) =>
    readdirSync(path)
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => path + name),
  )
  expect(sources.length).toBeGreaterThan(10)
  for (const source of sources) {
    // Comments say what a phrase looks like.
    const code = readFileSync(source, 'utf8').replaceAll(/\/\*\*[^]*?\*\/|\/\/.*/g, '')
    const found = [...names].filter((name) => new RegExp(`\\b${name}\\b`).test(code))
    expect(found.filter((name) => !EVERYWHERE.includes(name))).toEqual([])
  }
})

/** Names in the recording that are words of the API or of the language as well. */
const EVERYWHERE = ['kubernetes', 'http', 'metrics', 'search', 'status']
