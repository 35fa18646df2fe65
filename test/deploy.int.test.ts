import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { watchedKinds } from '../packages/core/src/io/kubernetes/watch-kind.js'
import { OBJECT_KINDS } from '../packages/core/src/model/kubernetes-object.js'
import { root } from './support/source-tree.js'

/*
 * What `deploy/` gives to a cluster: manifests whose every field the API's types have, permissions that are those of the
 * requests, alerts over metrics that exist, and an image whose files are there.
 */

const deploy = join(root, 'deploy')
const core = createRequire(join(root, 'packages/core/package.json'))

interface YamlDocument {
  readonly errors: readonly Error[]
  toJS(): unknown
}
const { parseAllDocuments } = core('yaml') as { readonly parseAllDocuments: (text: string) => readonly YamlDocument[] }

type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value }
type Fields = { readonly [key: string]: Value }

const filesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())

const documentsOf = (path: string): readonly Fields[] =>
  parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    expect(document.errors.map((error) => `${path}: ${error.message}`)).toEqual([])
    return document.toJS() as Fields
  })

const kustomizations = filesBelow(deploy).filter((path) => path.endsWith('/kustomization.yaml'))
const resources = filesBelow(deploy)
  .filter((path) => path.endsWith('.yaml') && !path.includes('/monitoring/'))
  .flatMap((path) => documentsOf(path).map((object) => ({ path: relative(root, path), object })))
  .filter(({ object }) => object['kind'] !== undefined && object['kind'] !== 'Kustomization')

/** A class of the API's types, as Kubernetes' own OpenAPI document generates it: each field with its type. */
interface Model {
  getAttributeTypeMap(): readonly { readonly name: string; readonly baseName: string; readonly type: string }[]
}
let models: { readonly [name: string]: Model | undefined } = {}

beforeAll(async () => {
  const all = join(root, 'packages/core/node_modules/@kubernetes/client-node/dist/gen/models/all.js')
  models = (await import(pathToFileURL(all).href)) as typeof models
})

/** What is wrong with a value of a type of the API, by its path. */
function faultsIn(value: Value, type: string, path: string): readonly string[] {
  const list = /^Array<(.*)>$/.exec(type)?.[1]
  if (list !== undefined)
    return Array.isArray(value)
      ? (value as readonly Value[]).flatMap((each, index) => faultsIn(each, list, `${path}[${index}]`))
      : [`${path}: no list`]
  const entry = /^\{ \[key: string\]: (.*?);? \}$/.exec(type)?.[1]
  if (entry !== undefined)
    return isFields(value)
      ? Object.entries(value).flatMap(([key, each]) => faultsIn(each, entry, `${path}.${key}`))
      : [`${path}: no map`]
  const model = models[type]
  if (model?.getAttributeTypeMap !== undefined) {
    if (!isFields(value)) return [`${path}: no object`]
    const known = new Map(model.getAttributeTypeMap().map((field) => [field.baseName, field.type]))
    return Object.entries(value).flatMap(([key, each]) => {
      const of = known.get(key)
      return of === undefined ? [`${path}.${key}: no field of ${type}`] : faultsIn(each, of, `${path}.${key}`)
    })
  }
  if (type === 'IntOrString') return ['number', 'string'].includes(typeof value) ? [] : [`${path}: ${type}`]
  return typeof value === type || type === 'any' ? [] : [`${path}: ${JSON.stringify(value)} is no ${type}`]
}

const isFields = (value: Value): value is Fields => value !== null && typeof value === 'object' && !Array.isArray(value)

const textOf = (value: Value | undefined): string => (typeof value === 'string' ? value : JSON.stringify(value))

const kindOf = (object: Fields): string => textOf(object['kind'])

/** `apps/v1` and `DaemonSet`: V1DaemonSet. */
const modelName = (object: Fields): string => {
  const version = textOf(object['apiVersion']).split('/').at(-1) ?? ''
  return `${version.charAt(0).toUpperCase()}${version.slice(1)}${kindOf(object)}`
}

describe('the manifests', () => {
  it.each(resources.map(({ path, object }) => [`${path}: ${kindOf(object)}`, object] as const))(
    '%s has only fields of the API, of their types',
    (_, object) => {
      expect(models[modelName(object)]).toBeDefined()
      expect(faultsIn(object, modelName(object), kindOf(object))).toEqual([])
    },
  )

  it('are found faulty with a field that the API does not have, or of another type', () => {
    const wrong = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: { containers: [{ nmae: 'x', tty: 'yes' }] },
    }
    expect(faultsIn(wrong, 'V1Pod', 'Pod')).toEqual([
      'Pod.spec.containers[0].nmae: no field of V1Container',
      'Pod.spec.containers[0].tty: "yes" is no boolean',
    ])
  })

  it('are all in a kustomization, or say how they are used', () => {
    const used = kustomizations.flatMap((path) => {
      const [{ resources: list = [], patches = [] } = {}] = documentsOf(path) as readonly {
        readonly resources?: readonly string[]
        readonly patches?: readonly { readonly path: string }[]
      }[]
      const paths = [...list, ...patches.map((patch) => patch.path)].map((each) => join(dirname(path), each))
      expect(paths.filter((each) => !existsSync(each))).toEqual([])
      return paths
    })
    const loose = filesBelow(deploy).filter(
      (path) =>
        path.endsWith('.yaml') &&
        !used.includes(path) &&
        !kustomizations.includes(path) &&
        !path.includes('/monitoring/'),
    )
    for (const path of loose) expect(readFileSync(path, 'utf8')).toMatch(/^#.*\n#\s+kubectl /)
  })

  it.each(['base', 'recorder'])('of %s permit the requests that are made, and no others', (folder) => {
    const roles = resources.filter(
      ({ path, object }) => path.includes(`/${folder}/`) && object['kind'] === 'ClusterRole',
    )
    const permitted = roles.flatMap(({ object }) =>
      (object['rules'] as readonly { apiGroups: string[]; resources: string[]; verbs: string[] }[]).flatMap((rule) =>
        rule.apiGroups.flatMap((group) =>
          rule.resources.flatMap((resource) => rule.verbs.map((verb) => `${verb} ${group}/${resource}`)),
        ),
      ),
    )
    const asked = watchedKinds('node-a', OBJECT_KINDS).flatMap(({ path }) => {
      const [, group = '', resource = ''] = /^\/apis?\/(?:([^/]+)\/)?v1\/([^/?]+)$/.exec(path) ?? []
      return [`list ${group}/${resource}`, `watch ${group}/${resource}`]
    })
    // The recorder posts none.
    const posted = folder === 'base' ? ['create events.k8s.io/events', 'patch events.k8s.io/events'] : []
    expect(permitted.toSorted()).toEqual([...asked, ...posted].toSorted())
  })

  it('mount every file that the configuration names', () => {
    const config = resources.find(({ object }) => object['kind'] === 'ConfigMap')?.object['data'] as Fields
    const agent = JSON.stringify(
      resources.find(({ path, object }) => path.includes('/base/') && object['kind'] === 'DaemonSet')?.object,
    )
    expect(agent).toContain('"mountPath":"/etc/pointsman"')
    const named = Object.values(config).flatMap((text) => textOf(text).match(/(?<=: )\/\S+/g) ?? [])
    const args = agent.match(/(?<==)\/etc\/pointsman\/[\w.]+/g) ?? []
    expect(named.length + args.length).toBeGreaterThan(4)
    const ofPod = '/var/run/secrets/kubernetes.io/serviceaccount/'
    expect(
      [...named, ...args].filter((path) => !path.startsWith(ofPod) && !(path.replace('/etc/pointsman/', '') in config)),
    ).toEqual([])
    expect(config['kubeconfig.conf']).toContain('server: https://')
  })

  it('give the agent the capabilities that `run` names, and no privilege', () => {
    const daemonSet = resources.find(
      ({ object }) => object['kind'] === 'DaemonSet' && 'selector' in (object['spec'] as Fields),
    )
    const text = JSON.stringify(daemonSet?.object)
    expect(text).toContain('"privileged":false')
    expect(text).toContain('"add":["NET_ADMIN","NET_RAW","SYS_RESOURCE"]')
  })
})

describe('the overlay observe', () => {
  it('asks for two capabilities, no privilege, and none of the ports of kube-proxy', () => {
    const patch = readFileSync(join(deploy, 'overlays/observe/observer.yaml'), 'utf8')
    expect(patch).toContain('value: [NET_ADMIN, NET_RAW]')
    expect(patch).toContain('path: /spec/template/spec/initContainers')
    expect(patch.replaceAll(/#.*/g, '')).not.toMatch(/10249|10256|privileged/)
    // The patch names the log's volume by its place.
    const base = readFileSync(join(deploy, 'base/daemonset.yaml'), 'utf8')
    expect(base.slice(base.indexOf('      volumes:')).match(/(?<=- name: )\S+/g)?.[1]).toBe('log')
  })
})

describe('the monitoring', () => {
  const known = new Set(
    readFileSync(join(root, 'docs/metrics.md'), 'utf8')
      .match(/^\| `\w+`/gm)
      ?.map((row) => row.slice(3, -1)),
  )
  const named = (text: string): readonly string[] =>
    [...new Set(text.match(/\b(?:pointsman|kubeproxy|process|rest_client)_\w+/g))].map((name) =>
      known.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, ''),
    )

  it.each(['alerts.yaml', 'alerts.test.yaml', 'dashboard.json'])('%s names only metrics that the agent has', (name) => {
    const found = named(readFileSync(join(deploy, 'monitoring', name), 'utf8'))
    expect(found.length).toBeGreaterThan(5)
    expect(found.filter((metric) => !known.has(metric))).toEqual([])
  })

  it('explains each alert in the operator guide, and tests it', () => {
    const alerts = readFileSync(join(deploy, 'monitoring/alerts.yaml'), 'utf8').match(/(?<=alert: )\w+/g) ?? []
    expect(alerts.length).toBeGreaterThan(8)
    const guide = readFileSync(join(root, 'docs/operations.md'), 'utf8')
    const tests = readFileSync(join(deploy, 'monitoring/alerts.test.yaml'), 'utf8')
    expect(alerts.filter((alert) => !guide.includes(`\`${alert}\``))).toEqual([])
    expect(alerts.filter((alert) => !tests.includes(`alertname: ${alert}\n`))).toEqual([])
  })

  const promtool = process.env['PROMTOOL'] ?? 'promtool'
  const hasPromtool = ((): boolean => {
    try {
      execFileSync(promtool, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })()

  it.skipIf(!hasPromtool && process.env['POINTSMAN_REQUIRE_KERNEL'] !== '1')(
    'fires the alerts that it should, and no others',
    () => {
      const text = execFileSync(promtool, ['test', 'rules', 'alerts.test.yaml'], {
        cwd: join(deploy, 'monitoring'),
        encoding: 'utf8',
      })
      expect(text).toContain('SUCCESS')
    },
  )
})

describe('the image', () => {
  it('is made of files that are there, the same by the Dockerfile and by the script', () => {
    const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
    const script = readFileSync(join(deploy, 'image/root.sh'), 'utf8')
    for (const name of ['packages.txt', 'install.sh', 'entry.sh', 'kube-proxy.sh']) {
      expect(readFileSync(join(deploy, 'image', name), 'utf8')).not.toBe('')
      expect(dockerfile).toContain(name)
      expect(script).toContain(name)
    }
    expect(dockerfile.match(/COPY (?!--from|\. )(\S+)/g)?.every((copy) => existsSync(join(root, copy.slice(5))))).toBe(
      true,
    )
  })

  it.each(['entry.sh', 'kube-proxy.sh', 'install.sh', 'root.sh'])('%s is a shell script without a mistake', (name) => {
    const path = join(deploy, 'image', name)
    expect(() => execFileSync(name === 'root.sh' ? 'bash' : 'sh', ['-n', path])).not.toThrow()
  })
})
