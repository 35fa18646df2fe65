import { parseCidr } from './address.js'
import { fieldReader, findingsOf, type Diagnostic } from './diagnostic.js'
import type { KubernetesObject } from './kubernetes-object.js'

export interface ServiceCidrResult {
  /** In canonical spelling, in the object's order, each once. */
  readonly cidrs: readonly string[]
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * The CIDRs that a ServiceCIDR allots to cluster IPs, of both families. An object that is not Ready, or is being deleted, counts
 * as long as it is there, as for kube-proxy 1.36: its addresses may still be in use. Never throws.
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/networking-resources/service-cidr-v1/
 */
export function serviceCidrsOf(serviceCidr: KubernetesObject): ServiceCidrResult {
  const findings = findingsOf(serviceCidr)
  const spec = fieldReader(findings, '').record(serviceCidr['spec'], 'spec') ?? {}
  const cidrs = new Set<string>()
  for (const [index, item] of fieldReader(findings, 'spec').list(spec['cidrs'], 'cidrs').entries()) {
    const cidr = typeof item === 'string' ? parseCidr(item) : undefined
    if (cidr === undefined) findings.report('NOT_A_CIDR', `spec.cidrs[${index}]`, item)
    else cidrs.add(cidr.text)
  }
  return { cidrs: [...cidrs], diagnostics: findings.all() }
}

/** The CIDRs of several objects as a state holds them: sorted, each once. */
export const unionOfCidrs = (lists: Iterable<readonly string[]>): readonly string[] =>
  [...new Set([...lists].flat())].toSorted()
