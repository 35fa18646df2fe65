import { placeOf } from './place.js'
import type { Place } from './place.js'
import { importsOf, namesFrom, withoutComments } from './source-file.js'
import type { ImportOf, SourceFile } from './source-file.js'

/** What one guard has against one file: sentences that name what to do instead. None: nothing. */
export type Guard = (file: SourceFile) => readonly string[]

/** The walls between packages and layers, each by the name of what it keeps. */
export const WALLS = {
  'packages point one way': (file) =>
    eachImport(file, (place, { specifier }) => {
      const other = packageOf(specifier)
      if (other === undefined) return undefined
      if (other === place.package) return `${specifier}: import your own package's files by relative path`
      if (place.isTest && place.package === 'cli') return undefined
      if ((PACKAGES[place.package] ?? []).includes(other)) return undefined
      return `${specifier}: ${place.package} may not know ${other} (cli -> backends -> core): have it handed in, or move the type to core/src/ports`
    }),

  'one file of cli knows the rule systems': (file) =>
    eachImport(file, (place, { specifier }) =>
      place.package !== 'cli' ||
      place.isTest ||
      !/^(?:@pointsman\/backend-|node-iptables(?:\/|$))/.test(specifier) ||
      file.path === REGISTRY
        ? undefined
        : `${specifier}: ${REGISTRY} alone imports rule systems: take what you need from context.dataplanes (core/src/ports/dataplane.ts)`,
    ),

  'packages meet by name': (file) =>
    eachImport(file, (place, { specifier, target }) =>
      target === undefined || target.startsWith(`packages/${place.package}/`)
        ? undefined
        : `${specifier}: leaves the package: import it by the package's name`,
    ),

  'layers of core point down': (file) =>
    eachImport(file, (place, { specifier, target, typeOnly }) => {
      const layers = LAYERS[place.layer]
      const to = target === undefined ? undefined : placeOf(target)
      if (place.package !== 'core' || place.isTest || layers === undefined || to === undefined) return undefined
      if (layers.includes(to.layer)) return undefined
      // The contract suite of change logs speaks of what it is handed, and loads none of it.
      if (place.layer === 'testing' && to.layer === 'io' && typeOnly) return undefined
      return `${specifier}: ${place.layer}/ imports ${layers.join(', ')} alone: pass the value in, or move the type down to model/ or ports/`
    }),

  'io is for the command and tests': (file) =>
    eachImport(file, (place, { specifier, target }) => {
      const isIo = specifier === '@pointsman/core/io' || target?.startsWith('packages/core/src/io/') === true
      if (!isIo || place.isTest || place.package === 'cli' || place.layer === 'io') return undefined
      if (place.layer === 'testing') return undefined
      return `${specifier}: io/ is wired in by cli: take the interface of core/src/ports as a parameter`
    }),

  'test helpers stay out of what is shipped': (file) =>
    eachImport(file, (place, { specifier, target }) => {
      const isTesting =
        specifier === '@pointsman/core/testing' || target?.startsWith('packages/core/src/testing/') === true
      if (!isTesting || place.isTest || place.layer === 'testing') return undefined
      return `${specifier}: testing/ is for tests: move what the product needs to where it belongs`
    }),

  'SQLite lives in one folder': (file) =>
    eachImport(file, (_, { specifier }) =>
      specifier !== 'better-sqlite3' || file.path.startsWith('packages/core/src/io/sqlite/')
        ? undefined
        : 'better-sqlite3: only core/src/io/sqlite speaks SQL: use ChangeLogReader and ChangeLogWriter of core/src/ports',
    ),

  'system calls are made in one file': (file) =>
    eachImport(file, (_, { specifier }) =>
      specifier !== 'koffi' || file.path === 'packages/node-netfilter/src/netlink/libc.ts'
        ? undefined
        : 'koffi: a wrong type here ends the process: go through loadLibc of node-netfilter/src/netlink/libc.ts',
    ),

  'processes are started in one file': (file) =>
    eachImport(file, (place, { specifier }) =>
      !/^(?:node:)?child_process$/.test(specifier) || place.isTest || PROCESS_STARTERS.has(file.path)
        ? undefined
        : `${specifier}: nothing here starts a process: go through runProcess, the one runner, of node-iptables`,
    ),

  'text leaves by one sink': (file) => {
    const place = placeOf(file.path)
    if (place === undefined || place.isTest || place.layer === 'testing' || file.path === 'packages/cli/src/main.ts')
      return []
    const used = /\bprocess\.(?:stdout|stderr)\b|\bconsole\.\w+/.exec(withoutComments(file.text))
    return used === null
      ? []
      : [`${used[0]}: give lines to context.stdout or context.stderr, which escape what objects and rules hold`]
  },

  'client-node is loaded in one file': (file) =>
    eachImport(file, (place, { specifier, typeOnly }) =>
      !specifier.startsWith('@kubernetes/client-node') ||
      typeOnly ||
      (place.isTest && file.path.startsWith('packages/core/src/io/kubernetes/')) ||
      (file.path === OF_CLIENT_NODE && specifier === '@kubernetes/client-node')
        ? undefined
        : `${specifier}: importing it costs a second and 90 MB: use \`import type\`, or go through core/src/io/kubernetes (docs/adr/0005)`,
    ),

  'RxJS stays in the pipeline': (file) =>
    eachImport(file, (place, { specifier }) => {
      const allowed = place.isTest || place.package !== 'core' || ['pipeline', 'testing', 'io'].includes(place.layer)
      if (!/^rxjs(?:\/|$)/.test(specifier) || (allowed && place.package !== 'backend-mock')) return undefined
      return `${specifier}: not for this folder: return plain data, and let pipeline/ make a stream of it`
    }),

  'the mock backend knows no rules': (file) =>
    eachImport(file, (place, { specifier }) =>
      place.package !== 'backend-mock' || !/ruleset|render|iptables|trace/.test(specifier)
        ? undefined
        : `${specifier}: the mock is what rules are compared with: answer from the state's meaning alone`,
    ),

  // Packets through the rules are compared with what `route` says: planned by it, they would agree in its mistakes.
  'rules are planned without route': (file) => {
    const place = placeOf(file.path)
    if (place?.package === 'core' && place.layer === 'route' && !place.isTest) {
      return importsOf(file)
        .filter(({ target }) => PLANNED_BY.has(target ?? ''))
        .map(({ specifier }) => `${specifier}: rules are planned by it, and checked against route: write it again here`)
    }
    if (!RULE_SYSTEMS.has(place?.package ?? '') || place?.isTest === true) return []
    return namesFrom('@pointsman/core', file)
      .filter((name) => name === 'route')
      .map((name) => `${name}: rules are checked against it: plan them from ports and selectEndpoints`)
  },

  // What checks the other must not share its code: a bug in it would be in both.
  'a trace knows rules alone': (file) => {
    const place = placeOf(file.path)
    if (place === undefined || place.layer !== 'trace' || place.isTest) return []
    const advice = 'a trace reads rules and addresses, and nothing of what Services mean: write what it needs in trace/'
    if (place.package === 'core')
      return importsOf(file)
        .filter(({ target }) => target !== undefined && !SHARED_TRACE_MAY_TAKE.test(target))
        .map(({ specifier }) => `${specifier}: ${advice}`)
    if (!RULE_SYSTEMS.has(place.package)) return []
    const besides = importsOf(file).filter(
      ({ specifier, target }) =>
        !['trace', 'listing'].some((layer) => target?.startsWith(`packages/${place.package}/src/${layer}/`)) &&
        !['node-iptables', '@pointsman/core', '@pointsman/core/trace'].includes(specifier),
    )
    const ofCore = namesFrom('@pointsman/core', file).filter((name) => !TRACE_MAY_TAKE.has(name))
    return [...besides.map(({ specifier }) => specifier), ...ofCore].map((what) => `${what}: ${advice}`)
  },

  'pure folders are pure': (file) => {
    const place = placeOf(file.path)
    if (place === undefined || place.isTest || !PURE.has(place.layer)) return []
    const code = withoutComments(file.text)
    const used = IMPURE.filter(({ pattern }) => pattern.test(code)).map(
      ({ what, instead }) => `${what} is not for this folder: ${instead}`,
    )
    const loaded = importsOf(file)
      .filter(({ specifier }) => specifier.startsWith('node:'))
      .map(({ specifier }) => `${specifier} is not for this folder: have the value handed in from io/`)
    return [...used, ...loaded]
  },

  'an index.ts is a front door': (file) => {
    const place = placeOf(file.path)
    if (place === undefined || place.isFrontDoor || !file.path.endsWith('/index.ts')) return []
    return ["only a package's front door is called index.ts: name the file after what it exports"]
  },

  'nothing names a registry or a machine': (file) =>
    FOREIGN.filter(({ pattern }) => pattern.test(file.text)).map(({ what, instead }) => `names ${what}: ${instead}`),
} as const satisfies { readonly [name: string]: Guard }

/** All findings in a tree, as `path: finding`, sorted. */
export function findingsIn(tree: readonly SourceFile[], guard: Guard): readonly string[] {
  return tree.flatMap((file) => guard(file).map((finding) => `${file.path}: ${finding}`)).toSorted()
}

const PACKAGES: { readonly [name: string]: readonly string[] } = {
  core: [],
  'node-iptables': ['node-netfilter'],
  'node-netfilter': [],
  'backend-mock': ['core'],
  'backend-iptables': ['core', 'node-iptables'],
  'backend-nftables': ['core', 'node-iptables', 'node-netfilter'],
  cli: ['core', 'node-iptables', 'node-netfilter', 'backend-mock', 'backend-iptables', 'backend-nftables'],
}

/** The packages that plan and trace rules of a kernel. */
const RULE_SYSTEMS: ReadonlySet<string> = new Set(['backend-iptables', 'backend-nftables'])

/** The rule systems that the command knows. */
const REGISTRY = 'packages/cli/src/dataplanes.ts'

/** The file that uses client-node: from its front door, so that the bundler leaves out what is not used. */
const OF_CLIENT_NODE = 'packages/core/src/io/kubernetes/server/client-node-access.ts'

const LAYERS: { readonly [layer: string]: readonly string[] } = {
  model: ['model'],
  config: ['model', 'config'],
  state: ['model', 'state'],
  route: ['model', 'state', 'route'],
  conntrack: ['model', 'state', 'conntrack'],
  ports: ['model', 'state', 'route', 'ports'],
  trace: ['model', 'ports', 'trace'],
  debug: ['model', 'state', 'route', 'ports', 'debug'],
  pipeline: ['model', 'config', 'state', 'route', 'ports', 'pipeline'],
  io: ['model', 'config', 'state', 'route', 'conntrack', 'debug', 'ports', 'io'],
  testing: ['model', 'config', 'state', 'route', 'debug', 'ports', 'pipeline', 'testing'],
}

const PURE: ReadonlySet<string> = new Set(
  'model config state route debug ruleset plan render trace table layout listing'.split(' '),
)

/** The files that may start processes: the one runner, and the credential plugins of a kubeconfig, which need the user's environment. */
const PROCESS_STARTERS: ReadonlySet<string> = new Set([
  'packages/node-iptables/src/run-process.ts',
  'packages/core/src/io/kubernetes/server/credential-plugin.ts',
])

/** Meaning that rules are planned by, which route has its own words for. */
const PLANNED_BY: ReadonlySet<string> = new Set([
  'packages/core/src/model/node-addresses.ts',
  'packages/core/src/state/overlaps.ts',
  'packages/core/src/state/port-traffic.ts',
])

/**
 * The shapes of its answer, chances, addresses, how a service port is called, and a compiler's help: of what Services and
 * endpoints mean, nothing.
 */
const TRACE_MAY_TAKE: ReadonlySet<string> = new Set(
  (
    'AffinityEntry AffinityList Assumption Condition Connection DependenceCode Effect End EndOdds Fate FateOdds Hook MissedRule PassedRules ' +
    'RuleService SeenSource Step Supposition TraceCase ' +
    'Surroundings Trace TraceError TraceQuestion TracedEndpoint TracedPacket TracedRule Way ' +
    'bothOdds CERTAIN dyadicOdds IMPOSSIBLE isCertain isImpossible Odds oddsToNumber oneIn otherOdds sumOfOdds ' +
    'assertNever displayName IpFamily parseAddress parseServicePortName ServicePortName'
  ).split(' '),
)

/** The same of what traces of several rule systems share. */
const SHARED_TRACE_MAY_TAKE =
  /^packages\/core\/src\/(?:trace\/|model\/(?:address|language|odds)\.|ports\/trace(?:-question)?\.)/

const TIMER = 'time is an input: let pipeline/ schedule it'
const IMPURE = [
  { what: 'Date.now()', pattern: /\bDate\.now\b/, instead: 'take observedAt from the record' },
  { what: 'new Date()', pattern: /\bnew Date\(\s*\)/, instead: 'take observedAt from the record' },
  { what: 'Math.random()', pattern: /\bMath\.random\b/, instead: 'take the choice as a parameter' },
  { what: 'process', pattern: /\bprocess\s*\./, instead: 'take the value as a parameter from cli' },
  { what: 'a timer', pattern: /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, instead: TIMER },
  { what: 'performance', pattern: /\bperformance\.\w/, instead: TIMER },
  { what: 'the console', pattern: /\bconsole\.\w/, instead: 'return a diagnostic beside the result' },
  { what: 'global crypto', pattern: /\bcrypto\.\w/, instead: 'take the id or the hash as a parameter' },
  { what: 'fetch()', pattern: /\bfetch\(/, instead: 'have the data handed in from io/' },
]

// Put together here, so that this file does not name them itself.
const REGISTRIES = [
  ['registry', 'npmjs', 'org'],
  ['registry', 'yarnpkg', 'com'],
  ['deb', 'debian', 'org'],
  ['security', 'debian', 'org'],
]
const MACHINE_FOLDERS = ['work', 'root']
const FOREIGN = [
  ...REGISTRIES.map((labels) => ({
    what: 'a package registry',
    pattern: new RegExp(labels.join('\\.')),
    instead: 'leave it to the configuration of the machine',
  })),
  {
    what: 'a path of one machine',
    pattern: new RegExp(`(?<![\\w.$~}-])/(?:${MACHINE_FOLDERS.join('|')})/`),
    instead: 'make it relative to the clone, or a temporary directory',
  },
]

function eachImport(file: SourceFile, judge: (place: Place, found: ImportOf) => string | undefined): readonly string[] {
  const place = placeOf(file.path)
  if (place === undefined) return []
  return importsOf(file).flatMap((found) => judge(place, found) ?? [])
}

/** `core` for `@pointsman/core/io`. */
function packageOf(specifier: string): string | undefined {
  const name = /^(?:@pointsman\/)?([^/]+)/.exec(specifier)?.[1] ?? ''
  if (specifier.startsWith('@pointsman/') || name === 'node-iptables' || name === 'node-netfilter') return name
  return name === 'pointsman' ? 'cli' : undefined
}
