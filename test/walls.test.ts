import { describe, expect, it } from 'vitest'
import { placeOf } from './support/place.js'
import { readTree } from './support/source-tree.js'
import { findingsIn, WALLS } from './support/walls.js'
import type { SourceFile } from './support/source-file.js'

const tree = readTree()

describe('walls between packages and layers', () => {
  it('look at the sources', () => {
    const layers = new Set(tree.map(({ path }) => placeOf(path)?.layer))
    expect([...layers]).toEqual(expect.arrayContaining(['model', 'state', 'route', 'ports']))
  })

  it.each(Object.entries(WALLS))('%s', (_, guard) => {
    expect(findingsIn(tree, guard)).toEqual([])
  })
})

/** What each wall is there against: a file that must be found out, and a word of the advice. */
const PLANTED: {
  readonly [name in keyof typeof WALLS]: readonly (readonly [path: string, text: string, advice: string])[]
} = {
  'packages point one way': [
    ['packages/core/src/state/x.ts', "import { x } from '@pointsman/backend-mock'", 'ports'],
    ['packages/backend-mock/src/x.ts', "import type { X } from 'pointsman'", 'ports'],
    ['packages/node-iptables/src/x.ts', "import { x } from '@pointsman/backend-iptables'", 'ports'],
    ['packages/backend-nftables/src/x.ts', "import { x } from '@pointsman/backend-iptables'", 'ports'],
    ['packages/node-netfilter/src/x.ts', "import { x } from 'node-iptables'", 'ports'],
    ['packages/core/src/io/x.ts', "import { generation } from 'node-netfilter'", 'ports'],
    ['packages/core/src/debug/x.ts', "import { x } from '@pointsman/core'", 'relative'],
  ],
  'one file of cli knows the rule systems': [
    ['packages/cli/src/commands/x.ts', "import { x } from '@pointsman/backend-iptables'", 'context.dataplanes'],
    ['packages/cli/src/machine/x.ts', "import type { Rule } from 'node-iptables'", 'context.dataplanes'],
    ['packages/cli/src/x.ts', "const x = await import('@pointsman/backend-nftables')", 'context.dataplanes'],
    [
      'packages/cli/src/commands/x.ts',
      "import { createMockBackend } from '@pointsman/backend-mock'",
      'context.dataplanes',
    ],
  ],
  'packages meet by name': [['packages/cli/src/x.ts', "import { x } from '../../core/src/index.js'", 'name']],
  'layers of core point down': [
    ['packages/core/src/model/x.ts', "import type { State } from '../state/state.js'", 'model'],
    ['packages/core/src/state/x.ts', "export * from '../debug/blame.js'", 'model'],
    ['packages/core/src/state/x.ts', "import { route } from '../route/route.js'", 'model'],
    ['packages/core/src/route/x.ts', "import { x } from '../debug/follow-fate.js'", 'model'],
    ['packages/core/src/conntrack/x.ts', "import { x } from '../io/conntrack/conntrack-commands.js'", 'model'],
    ['packages/core/src/debug/x.ts', "import {\n  a,\n  b,\n} from '../pipeline/replay.js'", 'model'],
    ['packages/core/src/ports/x.ts', "import { x } from '../pipeline/replay.js'", 'model'],
    ['packages/core/src/route/x.ts', "import { known } from '../trace/finding.js'", 'model'],
    ['packages/core/src/pipeline/x.ts', "const x = await import('../debug/blame.js')", 'model'],
    ['packages/core/src/testing/x.ts', "import { x } from '../io/sqlite/open.js'", 'model'],
    ['packages/core/src/io/x.ts', "import { x } from '../testing/manifests.js'", 'model'],
  ],
  'io is for the command and tests': [
    ['packages/backend-mock/src/x.ts', "import { openLog } from '@pointsman/core/io'", 'ports'],
    ['packages/core/src/index.ts', "export { openLog } from './io/index.js'", 'ports'],
  ],
  'test helpers stay out of what is shipped': [
    ['packages/cli/src/x.ts', "import { manifest } from '@pointsman/core/testing'", 'tests'],
    ['packages/core/src/index.ts', "export * from './testing/index.js'", 'tests'],
  ],
  'SQLite lives in one folder': [
    ['packages/core/src/io/files/x.ts', "import Database from 'better-sqlite3'", 'ChangeLogReader'],
    ['packages/cli/src/x.int.test.ts', "import type { Database } from 'better-sqlite3'", 'ChangeLogReader'],
  ],
  'system calls are made in one file': [
    ['packages/core/src/io/x.ts', "import koffi from 'koffi'", 'loadLibc'],
    ['packages/node-netfilter/src/x.ts', "const koffi = require('koffi')", 'loadLibc'],
  ],
  'processes are started in one file': [
    ['packages/core/src/io/x.ts', "import { spawn } from 'node:child_process'", 'runner'],
    ['packages/cli/src/x.ts', "const { spawn } = require('child_process')", 'runner'],
  ],
  'text leaves by one sink': [
    ['packages/cli/src/commands/x.ts', 'process.stdout.write(text)', 'context.stdout'],
    ['packages/core/src/io/x.ts', 'console.error(message)', 'context.stderr'],
  ],
  'client-node is loaded in one file': [
    ['packages/cli/src/x.ts', "import { KubeConfig } from '@kubernetes/client-node'", 'import type'],
    ['packages/cli/src/x.ts', "import { type V1Pod, KubeConfig } from '@kubernetes/client-node'", 'import type'],
    ['packages/core/src/io/kubernetes/x.ts', "const x = await import('@kubernetes/client-node')", '90 MB'],
    ['packages/core/src/io/kubernetes/x.ts', "import { x } from '@kubernetes/client-node/dist/config.js'", '90 MB'],
    [
      'packages/core/src/io/kubernetes/server/client-node-access.ts',
      "import { x } from '@kubernetes/client-node/dist/config.js'",
      '90 MB',
    ],
  ],
  'RxJS stays in the pipeline': [
    ['packages/core/src/state/x.ts', "import { map } from 'rxjs'", 'pipeline'],
    ['packages/core/src/ports/x.ts', "import type { Observable } from 'rxjs'", 'pipeline'],
    ['packages/backend-mock/src/x.ts', "import { map } from 'rxjs/operators'", 'pipeline'],
  ],
  'the mock backend knows no rules': [
    ['packages/backend-mock/src/x.ts', "import { x } from '@pointsman/backend-iptables'", 'meaning'],
    ['packages/backend-mock/src/x.ts', "import { x } from './render/rules.js'", 'meaning'],
  ],
  'rules are planned without route': [
    [
      'packages/backend-iptables/src/ruleset/x.ts',
      "import { route, selectEndpoints } from '@pointsman/core'",
      'checked against',
    ],
    ['packages/backend-nftables/src/layout/x.ts', "import { route } from '@pointsman/core'", 'checked against'],
    ['packages/core/src/route/x.ts', "import { byAge } from '../state/overlaps.js'", 'checked against'],
  ],
  'a trace knows rules alone': [
    ['packages/backend-iptables/src/trace/x.ts', "import { assertNever, RouteError } from '@pointsman/core'", 'trace/'],
    ['packages/backend-iptables/src/trace/x.ts', "import { route } from '@pointsman/backend-mock'", 'trace/'],
    ['packages/backend-iptables/src/trace/x.ts', "import { planRuleset } from '../ruleset/plan-ruleset.js'", 'trace/'],
    [
      'packages/backend-iptables/src/trace/x.ts',
      "import {\n  parseAddress,\n  selectEndpoints,\n} from '@pointsman/core'",
      'trace/',
    ],
    ['packages/backend-iptables/src/trace/x.ts', "export * from '@pointsman/core'", 'trace/'],
    ['packages/backend-nftables/src/trace/x.ts', "import { x } from '../layout/kube-proxy.js'", 'trace/'],
    ['packages/core/src/trace/x.ts', "import { isLoopback } from '../model/node.js'", 'trace/'],
  ],
  'pure folders are pure': [
    ['packages/core/src/model/x.ts', 'export const now = () => Date.now()', 'observedAt'],
    ['packages/core/src/state/x.ts', 'export const now = new Date( )', 'observedAt'],
    ['packages/core/src/debug/x.ts', 'export const odds = Math.random()', 'parameter'],
    ['packages/core/src/debug/x.ts', "export const home = process.env['HOME']", 'parameter'],
    ['packages/core/src/route/x.ts', 'export const odds = Math.random()', 'parameter'],
    ['packages/core/src/state/x.ts', 'setTimeout(() => undefined, 1)', 'schedule'],
    ['packages/core/src/model/x.ts', "import { createHash } from 'node:crypto'", 'handed in'],
    ['packages/backend-iptables/src/render/x.ts', "import { readFileSync } from 'node:fs'", 'handed in'],
  ],
  'an index.ts is a front door': [['packages/core/src/model/index.ts', 'export {}', 'front door']],
  'nothing names a registry or a machine': [
    ['docs/x.md', `npm --registry https://${['registry', 'npmjs', 'org'].join('.')}`, 'configuration'],
    ['packages/cli/src/x.ts', `const log = '${['', 'root', 'log.db'].join('/')}'`, 'relative'],
  ],
}

describe('a wall that is broken is found, with what to do instead', () => {
  const planted = Object.entries(PLANTED).flatMap(([name, files]) => files.map((file) => [name, ...file] as const))

  it.each(planted)('%s: %s', (name, path, text, advice) => {
    const findings = findingsIn([...innocent, { path, text }], WALLS[name as keyof typeof WALLS])
    expect(findings).toHaveLength(1)
    expect(findings[0]).toContain(`${path}: `)
    expect(findings[0]).toContain(advice)
  })
})

const innocent: readonly SourceFile[] = [
  {
    path: 'packages/core/src/model/a.ts',
    text: "// Date.now() is not for this folder\nimport type { B } from './b.js'",
  },
  {
    path: 'packages/core/src/model/a.test.ts',
    text: "import fc from 'fast-check'\nimport { x } from '../testing/manifests.js'",
  },
  { path: 'packages/core/src/state/a.ts', text: "import { b } from '../model/b.js'\nexport const at = new Date(0)" },
  {
    path: 'packages/core/src/pipeline/a.ts',
    text: "import { map } from 'rxjs'\nimport type { Backend } from '../ports/backend.js'",
  },
  {
    path: 'packages/core/src/testing/a.ts',
    text: "import type { Log } from '../io/sqlite/log.js'\nimport { map } from 'rxjs'",
  },
  {
    path: 'packages/core/src/io/sqlite/a.ts',
    text: "import Database from 'better-sqlite3'\nimport { hostname } from 'node:os'",
  },
  { path: 'packages/core/src/io/index.ts', text: "export { a } from './sqlite/a.js'" },
  { path: 'packages/backend-mock/src/a.ts', text: "import type { Backend } from '@pointsman/core'" },
  {
    path: 'packages/backend-iptables/src/trace/a.ts',
    text: "import { parseAddress, type IpFamily } from '@pointsman/core'\nimport { known } from '@pointsman/core/trace'\nimport { b } from './b.js'",
  },
  {
    path: 'packages/cli/src/a.ts',
    text: "import { a } from '@pointsman/core/io'\nimport type { V1Pod } from '@kubernetes/client-node'",
  },
  { path: 'packages/cli/src/a.int.test.ts', text: "import { spawn } from 'node:child_process'" },
]

describe('the walls leave alone', () => {
  it.each(Object.entries(WALLS))('%s', (_, guard) => {
    expect(findingsIn(innocent, guard)).toEqual([])
  })
})
