import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readObjects } from './read-objects.js'
import { archivedFiles, findTexts } from './read-tree.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointsman-tree-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

/** A file of an archive as ustar has it. */
function archived(name: string, content: string, { type = '0', size = Buffer.byteLength(content) } = {}): Buffer {
  const header = Buffer.alloc(512)
  header.write(name.slice(0, 100), 0)
  header.write('0000644', 100)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('        ', 148)
  header.write(type, 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512)
  body.write(content)
  return Buffer.concat([header, body])
}

const END = Buffer.alloc(1024)
const service = (name: string): string =>
  `---\napiVersion: v1\nkind: ServiceList\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: ${name}, namespace: shop, resourceVersion: "5"}\n`

async function namesIn(path: string, stdin: readonly Buffer[] = []): Promise<readonly string[]> {
  const { objects, pods, problems } = await readObjects([path], Readable.from(stdin))
  return [
    ...[...objects, ...pods].map(({ kind, metadata: { name } }) => `${kind} ${name}`).toSorted(),
    ...problems.map((problem) => problem.replaceAll(`${folder}/`, '')),
  ]
}

/** What must-gather makes, in short. */
function mustGather(root: string): void {
  const image = `${root}/quay-io-openshift`
  write(`${image}/namespaces/shop/core/services.yaml`, service('web'))
  write(
    `${image}/namespaces/shop/core/pods.yaml`,
    'apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: web-1, namespace: shop}\n',
  )
  write(
    `${image}/namespaces/shop/pods/web-1/web-1.yaml`,
    'apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop}\n',
  )
  write(`${image}/namespaces/shop/pods/web-1/logs/current.log`, '{"msg":"kind: Service"}\nkind: Service\n')
  write(
    `${image}/namespaces/shop/core/events.yaml`,
    'apiVersion: v1\nkind: EventList\nitems:\n- involvedObject:\n    kind: Pod\n  metadata: {name: e}\n',
  )
  write(
    `${image}/cluster-scoped-resources/core/nodes/node-a.json.gz`,
    gzipSync('{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"}}'),
  )
  write(`${image}/version`, '4.16')
  write(`${image}/binary`, Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1]))
}

describe('objects in a directory or an archive', () => {
  const expected = ['Node node-a', 'Pod web-1', 'Service web']

  test('are found by what is in the files', async () => {
    mustGather('mg')
    execFileSync('tar', ['-C', folder, '-cf', join(folder, 'mg.tar'), 'mg'])
    execFileSync('tar', ['-C', folder, '-czf', join(folder, 'mg.tar.gz'), 'mg'])
    for (const name of ['mg', 'mg.tar', 'mg.tar.gz'])
      expect(await namesIn(join(folder, name))).toEqual([
        ...expected,
        `${name}: 4 of 8 files have objects that are used`,
        '1 object is given several times, equal each time',
      ])
  })

  test('are found on standard input', async () => {
    const tar = Buffer.concat([archived('a.yaml', service('a')), archived('b.yaml', service('b')), END])
    const pieces = Array.from({ length: Math.ceil(tar.length / 100) }, (_, at) =>
      tar.subarray(at * 100, at * 100 + 100),
    )
    expect(await namesIn('-', pieces)).toEqual(['Service a', 'Service b', '-: 2 of 2 files have objects that are used'])
  })

  test('are none where no file has any', async () => {
    write('logs/x.log', 'kind: x\n')
    await expect(namesIn(join(folder, 'logs'))).rejects.toThrow(
      /no Kubernetes objects: .*\(none of its 1 files has Services/,
    )
  })

  test('are none in an empty directory', async () => {
    mkdirSync(join(folder, 'empty'))
    await expect(namesIn(join(folder, 'empty'))).rejects.toThrow(/no Kubernetes objects: .*\(there is no file in it\)/)
  })

  test('of which one file is damaged are read from the others, which is said', async () => {
    write('mg/a.yaml', service('a'))
    write('mg/b.yaml', 'apiVersion: v1\nkind: Service\nmetadata: [\n')
    const found = await namesIn(join(folder, 'mg'))
    expect(found).toEqual([
      'Service a',
      expect.stringMatching(/^mg\/b\.yaml: neither YAML nor JSON/),
      expect.anything(),
    ])
  })

  test('are not looked for behind symbolic links and in pipes', async () => {
    write('outside/secret.yaml', service('secret'))
    write('mg/a.yaml', service('a'))
    symlinkSync(join(folder, 'outside/secret.yaml'), join(folder, 'mg/link.yaml'))
    symlinkSync(join(folder, 'outside'), join(folder, 'mg/link'))
    execFileSync('mkfifo', [join(folder, 'mg/pipe')])
    expect(await namesIn(join(folder, 'mg'))).toEqual(['Service a', 'mg: 1 of 1 files have objects that are used'])
  })

  test('have the names that an archive gives them, which are no paths', async () => {
    const before = readdirSync(folder)
    const names = ['../../evil.yaml', '/etc/evil.yaml']
    const tar = write(
      'evil.tar',
      Buffer.concat([
        ...names.map((name, at) => archived(name, service(`s${at}`))),
        archived('link', '', { type: '2' }),
        END,
      ]),
    )
    expect(await namesIn(tar)).toEqual([
      'Service s0',
      'Service s1',
      'evil.tar: 2 of 2 files have objects that are used',
    ])
    expect(readdirSync(folder)).toEqual([...before, 'evil.tar'])
  })
})

test('has a limit for all texts together', async () => {
  write('mg/a.yaml', service('a'))
  write('mg/b.yaml', service('b'))
  const { texts } = findTexts(join(folder, 'mg'), Readable.from([]), { isWanted: () => true, maxBytes: 150 })
  const read = async (): Promise<void> => {
    for await (const { text } of texts) expect(text).not.toBe('')
  }
  await expect(read()).rejects.toThrow(/mg: it cannot be read \(its texts are larger than .* together\)/)
})

describe('an archive', () => {
  async function filesIn(chunks: Iterable<Buffer>): Promise<readonly string[]> {
    const names: string[] = []
    for await (const { name } of archivedFiles('x.tar', Readable.from(chunks))) names.push(name)
    return names
  }

  test('has long names of GNU tar and of pax', async () => {
    const deep = `${'d'.repeat(60)}/${'e'.repeat(60)}/${'f'.repeat(90)}.yaml`
    write(deep, 'x')
    for (const format of ['gnu', 'pax', 'ustar']) {
      const tar = join(folder, `${format}.tar`)
      execFileSync('tar', ['-C', folder, `--format=${format}`, '-cf', tar, deep.split('/')[0] ?? ''])
      const names: string[] = []
      const { texts } = findTexts(tar, Readable.from([]), { isWanted: () => true, maxBytes: 1000 })
      for await (const { name, text } of texts) names.push(`${name.replace(`${folder}/`, '')} ${text}`)
      expect(names).toEqual([`${format}.tar: ${deep} x`])
    }
  })

  test('is refused where it is cut off or damaged', async () => {
    const whole = archived('a', 'x'.repeat(2000))
    await expect(filesIn([whole.subarray(0, 1500)])).rejects.toThrow(/x\.tar: .*the tar archive is damaged or cut off/)
    await expect(filesIn([whole, Buffer.alloc(512, 7)])).rejects.toThrow(/damaged or cut off/)
    await expect(filesIn([archived('a', 'x', { type: 'L', size: 100_000 })])).rejects.toThrow(/a name that is too long/)
    expect(await filesIn([whole])).toEqual(['a'])
  })

  test('is given up where a little data unpacks to gigabytes', async () => {
    function* bomb(): Generator<Buffer> {
      yield archived('a', '', { size: 8 ** 11 - 1 })
      const zeros = Buffer.alloc(16 * 1024 * 1024)
      for (let megabytes = 0; megabytes < 4096; megabytes += 16) yield zeros
    }
    await expect(filesIn(bomb())).rejects.toThrow(/it unpacks to more than 2 GiB: unpack it, and give the directory/)
  })
})
