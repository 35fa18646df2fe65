import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfigDocument } from './config-file.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointsman-objects-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

test('a configuration is read from YAML as it stands there', async () => {
  const file = write('config.yaml', 'clusterCIDR: 10.244.0.0/16\nwrongField: 1\n')
  expect(await readConfigDocument(file, Readable.from([]))).toEqual({
    name: file,
    text: 'clusterCIDR: 10.244.0.0/16\nwrongField: 1\n',
    document: { clusterCIDR: '10.244.0.0/16', wrongField: 1 },
  })
})

test('refuses a configuration that a little gzip unpacks to megabytes', async () => {
  const path = join(folder, 'config.yaml.gz')
  writeFileSync(path, gzipSync(Buffer.alloc(2 * 1024 * 1024, 'a')))
  await expect(readConfigDocument(path, Readable.from([]))).rejects.toThrow(/config\.yaml\.gz: .*larger than 1 MiB/)
})

describe('a configuration', () => {
  const read = async (text: string) =>
    (await readConfigDocument(write('config.yaml', text), Readable.from([]))).document
  const config =
    'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16\n'
  const map = (data: object, name = 'kube-proxy') => ({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name }, data })
  const kubeconfig = { 'kubeconfig.conf': 'apiVersion: v1\nkind: Config\n' }

  test.each<readonly [string, unknown]>([
    ['a ConfigMap', map({ ...kubeconfig, 'config.conf': config })],
    ['a ConfigMap with another key', map({ config })],
    [
      'a ConfigMap that holds JSON',
      map({ 'config.conf': '{"kind":"KubeProxyConfiguration","clusterCIDR":"10.244.0.0/16"}' }),
    ],
    [
      'a List',
      { kind: 'List', items: [map({ Corefile: '.' }, 'coredns'), map({ ...kubeconfig, 'config.conf': config })] },
    ],
    [
      'a ConfigMapList',
      { kind: 'ConfigMapList', items: [{ metadata: { name: 'kube-proxy' }, data: { 'config.conf': config } }] },
    ],
    [
      'the ConfigMap called kube-proxy',
      { kind: 'List', items: [map({ config: config.replace('10.244', '10.9') }, 'old'), map({ config })] },
    ],
  ])('is found in %s', async (_, document) => {
    expect(await read(JSON.stringify(document))).toMatchObject({ clusterCIDR: '10.244.0.0/16' })
  })

  test('is found among the documents of kubeadm', async () => {
    expect(await read(`kind: ClusterConfiguration\n---\nkind: KubeletConfiguration\n---\n${config}`)).toMatchObject({
      clusterCIDR: '10.244.0.0/16',
    })
  })

  test.each<readonly [string, string, RegExp]>([
    [
      'a ConfigMap without one',
      JSON.stringify(map({ Corefile: '.' }, 'coredns')),
      /no KubeProxyConfiguration is in the data of the ConfigMap coredns: run `kubectl -n kube-system get configmap kube-proxy -o yaml`/,
    ],
    [
      'two of them',
      JSON.stringify({ kind: 'List', items: [map({ config }, 'a'), map({ config }, 'b')] }),
      /several KubeProxyConfigurations are in ConfigMaps \(a, b\)/,
    ],
    [
      'what kubectl describe prints',
      'Name:         kube-proxy\nNamespace:    kube-system\nLabels:       app=kube-proxy\n\nData\n====\nconfig.conf:\n----\n',
      /this is the output of kubectl describe: run `kubectl -n kube-system get configmap/,
    ],
    ['a page', '<html><body>Sign in</body></html>', /this is an HTML page/],
  ])('is refused in %s', async (_, text, message) => {
    await expect(read(text)).rejects.toThrow(message)
  })
})
