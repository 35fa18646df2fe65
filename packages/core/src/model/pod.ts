import { isJsonObject } from './json-value.js'
import type { Json, JsonObject } from './kubernetes-object.js'
import type { Protocol } from './names.js'
import { protocolOf } from './service-ports.js'
import { parseRfc3339 } from './time-formats.js'

/**
 * What decides whether a Pod is an endpoint of a Service. Only questions about a Service's endpoints use it: Pods are neither
 * in the state nor in the log.
 */
export interface Pod {
  readonly namespace: string
  readonly name: string
  /** As in the object: values of any type. */
  readonly labels: JsonObject
  /** `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`; empty where absent. */
  readonly phase: string
  /** Why the phase is what it is, as `Evicted`; empty where absent. */
  readonly phaseReason: string
  readonly ips: readonly string[]
  readonly nodeName?: string
  readonly hostNetwork: boolean
  /** It is being deleted: when that was requested, in milliseconds since 1970 UTC, where the object has it. */
  readonly terminating?: { readonly since?: number }
  readonly ready?: PodCondition
  readonly scheduled?: PodCondition
  /** Of the first container that waits, why: `CrashLoopBackOff`. */
  readonly waiting?: { readonly container: string; readonly reason: string }
  readonly ports: readonly ContainerPort[]
}

export interface PodCondition {
  readonly holds: boolean
  /** The last transition, as the object has it; empty where absent. */
  readonly since: string
  /** Empty where absent. */
  readonly reason: string
  readonly message: string
}

export interface ContainerPort {
  /** Empty where it has none. */
  readonly name: string
  readonly port: number
  readonly protocol: Protocol
  /** The port that it takes of the node; absent: none. */
  readonly hostPort?: number
}

/** Of a Pod object (v1). Undefined for one without a name; what cannot be read is as if it were absent. */
export function podOf(object: JsonObject): Pod | undefined {
  const metadata = recordOf(object['metadata'])
  const spec = recordOf(object['spec'])
  const status = recordOf(object['status'])
  const name = textOf(metadata['name'])
  if (name === '') return undefined
  const nodeName = textOf(spec['nodeName'])
  const hostNetwork = spec['hostNetwork'] === true
  const [ready, scheduled] = [conditionOf(status, 'Ready'), conditionOf(status, 'PodScheduled')]
  const waiting = waitingOf(status)
  return {
    namespace: textOf(metadata['namespace']) || 'default',
    name,
    labels: recordOf(metadata['labels']),
    phase: textOf(status['phase']),
    phaseReason: textOf(status['reason']),
    ips: ipsOf(status),
    ...(nodeName !== '' && { nodeName }),
    hostNetwork,
    ...terminatingOf(metadata),
    ...(ready && { ready }),
    ...(scheduled && { scheduled }),
    ...(waiting !== undefined && { waiting }),
    ports: portsOf(spec, hostNetwork),
  }
}

const recordOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : [])
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

function ipsOf(status: JsonObject): readonly string[] {
  const single = textOf(status['podIP'])
  const listed = listOf(status['podIPs'])
  if (listed.length === 0) return single === '' ? [] : [single]
  return listed.map((item) => textOf(recordOf(item)['ip'])).filter((ip) => ip !== '')
}

/** The API sets the timestamp to the end of the grace period. */
function terminatingOf(metadata: JsonObject): Pick<Pod, 'terminating'> {
  const { deletionTimestamp, deletionGracePeriodSeconds: grace } = metadata
  if (deletionTimestamp == null) return {}
  const end = parseRfc3339(textOf(deletionTimestamp))
  const since = end === undefined || typeof grace !== 'number' ? end : end - grace * 1000
  return { terminating: { ...(since !== undefined && { since }) } }
}

function conditionOf(status: JsonObject, type: string): PodCondition | undefined {
  for (const item of listOf(status['conditions'])) {
    const condition = recordOf(item)
    if (condition['type'] !== type) continue
    return {
      holds: condition['status'] === 'True',
      since: textOf(condition['lastTransitionTime']),
      reason: textOf(condition['reason']),
      message: textOf(condition['message']),
    }
  }
  return undefined
}

function waitingOf(status: JsonObject): Pod['waiting'] {
  for (const list of [status['initContainerStatuses'], status['containerStatuses']])
    for (const item of listOf(list)) {
      const container = recordOf(item)
      const reason = textOf(recordOf(recordOf(container['state'])['waiting'])['reason'])
      if (reason !== '') return { container: textOf(container['name']), reason }
    }
  return undefined
}

/** Of the containers, and of sidecars, which count since Kubernetes 1.32 (https://github.com/kubernetes/kubernetes/pull/127976). */
function portsOf(spec: JsonObject, hostNetwork: boolean): readonly ContainerPort[] {
  const ports: ContainerPort[] = []
  const add = (container: JsonObject): void => {
    for (const item of listOf(container['ports'])) {
      const { name, containerPort: port, hostPort, protocol: text } = recordOf(item)
      const protocol = protocolOf(text)
      if (typeof port !== 'number' || protocol === undefined) continue
      const onHost = hostNetwork ? port : typeof hostPort === 'number' && hostPort > 0 ? hostPort : undefined
      ports.push({ name: textOf(name), port, protocol, ...(onHost !== undefined && { hostPort: onHost }) })
    }
  }
  for (const container of listOf(spec['containers'])) add(recordOf(container))
  for (const item of listOf(spec['initContainers'])) {
    const container = recordOf(item)
    if (container['restartPolicy'] === 'Always') add(container)
  }
  return ports
}
