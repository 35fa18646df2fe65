import { parseAddress, type IpFamily } from '../model/address.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { podOf, type ContainerPort, type Pod, type PodCondition } from '../model/pod.js'
import type { ServicePort } from '../model/service-port.js'
import { printable, printableName } from '../model/shown-text.js'
import { parseRfc3339 } from '../model/time-formats.js'
import { namedTargetPorts, portKey } from './compare-slices.js'

/** Why a Pod that the selector matches is no ready endpoint. */
export interface PodFinding {
  readonly pod: string
  readonly reason: PodReason
  /** One sentence without the Pod's name. */
  readonly message: string
  /** In milliseconds since 1970 UTC. */
  readonly since?: number
  /** Of one service port; absent: of all. */
  readonly portName?: string
}

export const POD_REASONS = {
  ENDED: 'it has ended, and is never an endpoint',
  TERMINATING: 'it is being deleted',
  NOT_SCHEDULED: 'it is on no node',
  NO_IP: 'it has no IP',
  NOT_READY: 'it is not ready',
  NO_SUCH_PORT: 'no container has a port with the name of the targetPort',
  HOST_PORT_TAKEN: 'another Pod uses the same port of the node',
  NOT_LISTED: 'it is ready or the Service publishes it anyway, and no EndpointSlice lists it',
  NO_IP_OF_FAMILY: 'it has no IP of one of the families of the Service',
} as const
export type PodReason = keyof typeof POD_REASONS

export function findingsOf(
  matching: readonly Pod[],
  surroundings: PodSurroundings,
  ofPorts: readonly PodFinding[],
): { readonly findings: readonly PodFinding[]; readonly moreFindings: number } {
  let count = ofPorts.length
  const first: { readonly pod: Pod; readonly reason: PodReason }[] = []
  for (const pod of matching) {
    const reason = reasonOf(pod, surroundings)
    if (reason === undefined) continue
    count++
    const last = first.at(-1)
    if (first.length === MOST_FINDINGS && last !== undefined && byName(last.pod, pod) <= 0) continue
    first.push({ pod, reason })
    first.sort((a, b) => byName(a.pod, b.pod))
    if (first.length > MOST_FINDINGS) first.pop()
  }
  const findings = [...first.map(({ pod, reason }) => findingOf(pod, reason, surroundings)), ...ofPorts]
  const shown = [...findings.slice(0, MOST_FINDINGS - ofPorts.length), ...ofPorts]
  return findings.length <= MOST_FINDINGS
    ? { findings, moreFindings: count - findings.length }
    : { findings: shown, moreFindings: count - shown.length }
}

export interface PodSurroundings {
  readonly publishesNotReady: boolean
  /** Of the service ports. */
  readonly families: readonly IpFamily[]
  /** Who has a port of a node. */
  readonly taken: ReadonlyMap<string, Pod>
  /** Whether an EndpointSlice of the Service lists one of these addresses. */
  readonly isListed: (addresses: readonly string[]) => boolean
}

/** The first that holds, in the order in which the controller asks. */
function reasonOf(pod: Pod, { publishesNotReady, families, taken, isListed }: PodSurroundings): PodReason | undefined {
  if (hasEnded(pod)) return 'ENDED'
  if (pod.terminating !== undefined) return 'TERMINATING'
  if (pod.nodeName === undefined) return 'NOT_SCHEDULED'
  if (taken.size > 0 && rivalOf(pod, taken) !== undefined) return 'HOST_PORT_TAKEN'
  if (pod.ips.length === 0) return 'NO_IP'
  if (pod.ready?.holds !== true && !publishesNotReady) return 'NOT_READY'
  if (!isListed(pod.ips)) return 'NOT_LISTED'
  return lackingFamily(pod, families) === undefined ? undefined : 'NO_IP_OF_FAMILY'
}

/** The family of which a Pod can be no endpoint. */
const lackingFamily = ({ ips }: Pod, families: readonly IpFamily[]): IpFamily | undefined =>
  families.find((family) => !ips.some((ip) => parseAddress(ip)?.family === family))

function findingOf(pod: Pod, reason: PodReason, surroundings: PodSurroundings): PodFinding {
  const { message, since } = wordsOf(pod, reason, surroundings)
  return { pod: printableName(pod.name), reason, message, ...(since !== undefined && { since }) }
}

interface FindingWords {
  readonly message: string
  readonly since?: number | undefined
}

function wordsOf(pod: Pod, reason: PodReason, { taken, families }: PodSurroundings): FindingWords {
  const { phase, phaseReason, terminating, scheduled, ready, ips } = pod
  const waiting = pod.waiting && `${printableName(pod.waiting.container)}: ${printableName(pod.waiting.reason)}`
  const joined = (parts: readonly (string | undefined)[], between: string): string => {
    const text = parts.filter((part) => part !== undefined && part !== '').join(between)
    return text === '' ? '' : ` (${text})`
  }
  switch (reason) {
    case 'ENDED':
      return {
        message: `has ended: its phase is ${phase}${joined([printableName(phaseReason)], '')}, so that it is never an endpoint`,
      }
    case 'TERMINATING':
      return { message: 'is being deleted', since: terminating?.since }
    case 'NOT_SCHEDULED': {
      const why = scheduled?.holds === false ? conditionText(scheduled) : ''
      return { message: `is not scheduled to a node${why === '' ? '' : `: ${why}`}`, since: timeOf(scheduled) }
    }
    case 'HOST_PORT_TAKEN':
      return {
        message: `is ${ready?.holds === true ? 'ready' : 'not ready'}, and ${rivalOf(pod, taken) ?? ''}`,
        since: timeOf(ready),
      }
    case 'NO_IP':
      return { message: `has no IP yet${joined([phase === '' ? '' : `phase ${printableName(phase)}`, waiting], ', ')}` }
    case 'NOT_READY': {
      const why = ready === undefined ? 'it has no condition Ready' : conditionText(ready)
      return { message: `is not ready${joined([why, waiting], '; ')}`, since: timeOf(ready) }
    }
    case 'NOT_LISTED':
    case 'NO_SUCH_PORT':
      return {
        message: `is ${ready?.holds === true ? 'ready' : 'not ready, which the Service ignores (publishNotReadyAddresses)'}, and no EndpointSlice of the Service lists ${printableName(ips.join(', '))}`,
      }
    case 'NO_IP_OF_FAMILY': {
      const family = lackingFamily(pod, families) ?? ''
      return {
        message: `has no ${family} address, so that it is no ${family} endpoint (it has ${printableName(ips.join(', '))})`,
      }
    }
  }
}

const conditionText = ({ reason, message }: PodCondition): string =>
  printable([reason, message].filter((text) => text !== '').join(': '), LONGEST_REASON)
const LONGEST_REASON = 200

const timeOf = (condition: PodCondition | undefined): number | undefined => parseRfc3339(condition?.since ?? '')

export const usesHostPort = ({ ports }: Pod): boolean => ports.some(({ hostPort }) => hostPort !== undefined)

const hostPortKey = (nodeName: string, { hostPort = 0, protocol }: ContainerPort): string =>
  `${nodeName} ${protocol} ${hostPort}`

/** The Pod that has a port of a node. */
export function hostPortsOf(objects: readonly JsonObject[]): ReadonlyMap<string, Pod> {
  const taken = new Map<string, Pod>()
  for (const object of objects) {
    const pod = podOf(object)
    if (pod?.nodeName === undefined || hasEnded(pod)) continue
    for (const port of pod.ports) {
      if (port.hostPort === undefined) continue
      const key = hostPortKey(pod.nodeName, port)
      const before = taken.get(key)
      if (before === undefined || isBefore(pod, before)) taken.set(key, pod)
    }
  }
  return taken
}

/** A ready one has the port; between equals the name decides. */
function isBefore(one: Pod, other: Pod): boolean {
  const [first, second] = [one, other].map(({ ready }) => ready?.holds === true)
  return first === second ? `${one.namespace}/${one.name}` < `${other.namespace}/${other.name}` : first === true
}

/** `uses port 9100/TCP of node node-a, as Pod monitoring/agent does`. */
function rivalOf(pod: Pod, taken: PodSurroundings['taken']): string | undefined {
  for (const port of pod.ports) {
    const rival = rivalFor(pod, port, taken)
    if (rival !== undefined) return rival
  }
  return undefined
}

function rivalFor(pod: Pod, port: ContainerPort, taken: PodSurroundings['taken']): string | undefined {
  if (port.hostPort === undefined || pod.nodeName === undefined) return undefined
  const rival = taken.get(hostPortKey(pod.nodeName, port))
  if (rival === undefined || (rival.name === pod.name && rival.namespace === pod.namespace)) return undefined
  const name = rival.namespace === pod.namespace ? rival.name : `${rival.namespace}/${rival.name}`
  return `uses port ${port.hostPort}/${port.protocol} of node ${printableName(pod.nodeName)}, as Pod ${printableName(name)} does`
}

interface PortQuestion {
  readonly service: KubernetesObject
  readonly matching: readonly Pod[]
}

/** Of each port with a named targetPort, the first Pod that has no such container port. */
export function missingPorts(
  ports: readonly ServicePort[],
  { service, matching }: PortQuestion,
): readonly PodFinding[] {
  const targets = namedTargetPorts(service)
  if (targets.size === 0) return []
  const lasting = matching.filter((pod) => !hasEnded(pod))
  const counts = new Map<string, number>()
  for (const pod of lasting) for (const key of containerPortKeys(pod)) counts.set(key, (counts.get(key) ?? 0) + 1)
  const findings: PodFinding[] = []
  for (const port of new Map(ports.map((each) => [portKey(each), each])).values()) {
    const target = targets.get(portKey(port))
    if (target === undefined) continue
    const key = `${target}/${port.protocol}`
    const lacking = lasting.length - (counts.get(key) ?? 0)
    if (lacking === 0 || findings.length === MOST_FINDINGS) continue
    const first = lasting.find((pod) => !containerPortKeys(pod).has(key))
    if (first !== undefined)
      findings.push(missingPort(first, { portName: port.portName, target: printableName(key), lacking }))
  }
  return findings
}

const containerPortKeys = ({ ports }: Pod): ReadonlySet<string> =>
  new Set(ports.map(({ name, protocol }) => `${name}/${protocol}`))

function missingPort(
  { name, ports }: Pod,
  { portName, target, lacking }: { readonly portName: string; readonly target: string; readonly lacking: number },
): PodFinding {
  const has = ports.slice(0, MOST_SHOWN).map(containerPortText)
  const instead = has.length === 0 ? 'its containers declare no port' : `it has ${has.join(', ')}`
  const others = lacking === 1 ? '' : lacking === 2 ? '; 1 more Pod lacks it' : `; ${lacking - 1} more Pods lack it`
  return {
    pod: printableName(name),
    reason: 'NO_SUCH_PORT',
    message: `has no container port ${target}, which is the targetPort (${instead})${others}`,
    portName,
  }
}

const containerPortText = ({ name, port, protocol }: ContainerPort): string =>
  name === '' ? `${port}/${protocol}` : `${printableName(name)} (${port}/${protocol})`

/** Pods that are named. */
const MOST_FINDINGS = 20

const MOST_SHOWN = 3

export const byName = (a: Pick<Pod, 'name'>, b: Pick<Pod, 'name'>): number =>
  a.name < b.name ? -1 : Number(a.name > b.name)
export const hasEnded = ({ phase }: Pod): boolean => phase === 'Succeeded' || phase === 'Failed'
