import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import { createFakeIptables } from './fake/index.js'
import type { Iptables } from './iptables.js'
import { runProcess } from './run-process.js'
import { enterNamespace, describeKernel, type Namespace } from './test-support/namespace.js'

const GOLDEN = fileURLToPath(new URL('../../../fixtures/golden', import.meta.url))
const files = readdirSync(GOLDEN, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('tables-save.txt'))
  .toSorted()

const golden = (path: string): string => readFileSync(join(GOLDEN, path), 'utf8')
const familyOf = (path: string): 'IPv4' | 'IPv6' => (basename(path) === 'ip6tables-save.txt' ? 'IPv6' : 'IPv4')
const objectsIn = (text: string): readonly string[] => [
  ...new Set([...text.matchAll(/--nfacct-name +(\S+)/g)].map(([, name = '']) => name)),
]

/** Each table's lines; the order of the tables is each variant's own. */
const tablesOf = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.replaceAll(/^#.*\n/gm, '').matchAll(/^\*(\S+)\n[^]*?^COMMIT$/gm)].map(([lines, name]) => [name, lines]),
  )

const savedAfterRestore = async (iptables: Iptables, path: string): Promise<Readonly<Record<string, string>>> => {
  const text = golden(path)
  await iptables.restore({ text, flush: true, counters: false })
  return tablesOf(await iptables.save({ counters: /^\[\d+:\d+\] /m.test(text) }))
}

test('there are goldens of both families', () => {
  expect(new Set(files.map((path) => familyOf(path)))).toEqual(new Set(['IPv4', 'IPv6']))
})

describe.each(['nft', 'legacy'] as const)(
  'what kube-proxy wrote is saved as it is restored: the fake, %s',
  (variant) => {
    test.each(files)('%s', async (path) => {
      const fake = createFakeIptables({ variant, family: familyOf(path), nfacctObjects: objectsIn(golden(path)) })
      expect(await savedAfterRestore(fake, path)).toEqual(tablesOf(golden(path)))
    })
  },
)

describeKernel('what kube-proxy wrote is saved as it is restored', () => {
  let namespace: Namespace
  beforeEach(() => {
    namespace = enterNamespace()
  })
  afterEach(() => namespace.remove())

  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    let iptables: { readonly IPv4: Iptables; readonly IPv6: Iptables }
    beforeAll(async () => {
      iptables = {
        IPv4: await createIptables({ family: 'IPv4', variant }),
        IPv6: await createIptables({ family: 'IPv6', variant }),
      }
    })

    test.each(files)('%s', async (path) => {
      for (const name of objectsIn(golden(path))) await runProcess({ argv: ['nfacct', 'add', name] })
      expect(await savedAfterRestore(iptables[familyOf(path)], path)).toEqual(tablesOf(golden(path)))
    })
  })
})
