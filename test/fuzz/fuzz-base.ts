import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/source-tree.js'

/** What mutations start from. */
export interface FuzzBase {
  readonly recordings: readonly [Buffer, ...Buffer[]]
  readonly saves: readonly [Golden, ...Golden[]]
  readonly yaml: Buffer
  /** What kubectl and API servers print besides: dumps, watches, ConfigMaps, audit logs. */
  readonly printed: readonly [Buffer, ...Buffer[]]
  /** Change logs that the command itself wrote. */
  readonly logs: readonly [Buffer, ...Buffer[]]
}

export interface Golden {
  readonly objects: Buffer
  readonly config: Buffer
  readonly rules: Buffer
}

const fixture = (...path: readonly string[]): Buffer => readFileSync(join(root, 'fixtures', ...path))

export const RECORDING = join(root, 'fixtures/recordings/shop-incident/watch.jsonl')

/** Everything of fixtures/ that commands read; the logs come from whoever can run the command. */
export function readBase(logs: FuzzBase['logs']): FuzzBase {
  const saves = ['kube-proxy-1.20', 'kube-proxy-1.36'].flatMap((version) =>
    readdirSync(join(root, 'fixtures/golden', version))
      .filter((name) => name !== 'large-cluster')
      .flatMap((name) => {
        const folder = ['golden', version, name] as const
        const [objects, config] = [fixture(...folder, 'objects.json'), fixture(...folder, 'config.json')]
        return readdirSync(join(root, 'fixtures', ...folder))
          .filter((file) => file.endsWith('-save.txt'))
          .map((file): Golden => ({ objects, config, rules: fixture(...folder, file) }))
      }),
  )
  const [first, ...others] = saves
  if (first === undefined) throw new Error('fixtures/golden holds no saves')
  const shop = fixture('recordings/shop-incident/watch.jsonl')
  return {
    recordings: [
      Buffer.from(shop.toString('utf8').split('\n').slice(0, 40).join('\n')),
      shop,
      fixture('security/02-terminal-escapes/esc.jsonl'),
      fixture('security/07-redact-kubernetes-domains/recording.jsonl'),
      fixture('wire/kubectl-watch-events.json'),
    ],
    saves: [first, ...others],
    printed: [
      fixture('reports/16-cluster-info-dump/dump.txt'),
      fixture('reports/16-cluster-info-dump/watch.json'),
      fixture('reports/15-object-twice/watch.yaml'),
      fixture('reports/22-config-as-kubeadm-has-it/configmap.yaml'),
      fixture('reports/23-audit-log-import/audit.log'),
    ],
    yaml: fixture('configurations/kubeadm.yaml'),
    logs,
  }
}

/** A Service and its endpoints, with an anchor to refer to. */
export const YAML_OBJECTS = `apiVersion: v1
kind: Service
metadata: &meta
  name: web
  namespace: default
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ports:
  - name: http
    port: 80
    protocol: TCP
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: default
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- {name: http, port: 8080, protocol: TCP}
endpoints:
- addresses: [10.244.1.5]
  conditions: {ready: true}
  nodeName: node-a
`

/** A configuration with a value of each kind. */
export const FULL_CONFIG = {
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  bindAddress: '0.0.0.0',
  clusterCIDR: '10.244.0.0/16',
  clientConnection: { kubeconfig: '', qps: 5, burst: 10, contentType: 'application/json' },
  conntrack: { maxPerCore: 32768, min: 131072, tcpBeLiberal: false, udpTimeout: '0s', udpStreamTimeout: '0s' },
  detectLocal: { bridgeInterface: '', interfaceNamePrefix: '' },
  detectLocalMode: 'ClusterCIDR',
  featureGates: { A: true },
  healthzBindAddress: '0.0.0.0:10256',
  hostnameOverride: 'node-a',
  iptables: {
    localhostNodePorts: true,
    masqueradeAll: false,
    masqueradeBit: 14,
    minSyncPeriod: '1s',
    syncPeriod: '30s',
  },
  ipvs: { excludeCIDRs: ['10.0.0.0/8'], strictARP: true },
  logging: { flushFrequency: '5s', format: 'text', options: { json: { infoBufferSize: '0' } }, verbosity: 2 },
  metricsBindAddress: '127.0.0.1:10249',
  mode: 'iptables',
  nodePortAddresses: ['primary'],
  oomScoreAdj: -999,
  winkernel: { networkName: '' },
}
