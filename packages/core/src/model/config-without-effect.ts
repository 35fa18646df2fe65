import type { ConfigFields } from './config-fields.js'
import { isJsonObject } from './is-json-object.js'
import type { Json } from './kubernetes-object.js'

/** Why a field that kube-proxy has does nothing here. One sentence, for a person. */
export interface FieldWithoutEffect {
  readonly why: string
  /** kube-proxy's default, which asks for nothing; empty values ask for nothing either. */
  readonly usual?: Json
}

const IPVS = 'that is for the ipvs mode, and the mode is iptables'
const NFTABLES = 'that is for the nftables mode, and the mode is iptables'
const WINDOWS = 'that is for Windows'
const JSON_ALONE = 'the API server is always asked for JSON'
const STDERR = 'every line is written at once, to standard error'

/** By path. `docs/configuration.md` lists the same ones. */
export const FIELDS_WITHOUT_EFFECT: ReadonlyMap<string, FieldWithoutEffect> = new Map<string, FieldWithoutEffect>(
  Object.entries({
    'clientConnection.acceptContentTypes': { why: JSON_ALONE, usual: 'application/json' },
    'clientConnection.contentType': { why: JSON_ALONE, usual: 'application/vnd.kubernetes.protobuf' },
    configSyncPeriod: { why: 'there is no cache to compare with: the change log is what is known', usual: '15m0s' },
    featureGates: { why: 'each is on for good, or of another component' },
    'ipvs.excludeCIDRs': { why: IPVS },
    'ipvs.minSyncPeriod': { why: IPVS },
    'ipvs.scheduler': { why: IPVS },
    'ipvs.strictARP': { why: IPVS },
    'ipvs.syncPeriod': { why: IPVS, usual: '30s' },
    'ipvs.tcpFinTimeout': { why: IPVS },
    'ipvs.tcpTimeout': { why: IPVS },
    'ipvs.udpTimeout': { why: IPVS },
    'logging.flushFrequency': { why: STDERR, usual: '5s' },
    'logging.options.json.infoBufferSize': { why: STDERR },
    'logging.options.json.splitStream': { why: STDERR },
    'logging.options.text.infoBufferSize': { why: STDERR },
    'logging.options.text.splitStream': { why: STDERR },
    'logging.vmodule': { why: "it names files of kube-proxy's sources" },
    'nftables.masqueradeAll': { why: NFTABLES },
    'nftables.masqueradeBit': { why: NFTABLES, usual: 14 },
    'nftables.minSyncPeriod': { why: NFTABLES, usual: '1s' },
    'nftables.syncPeriod': { why: NFTABLES, usual: '30s' },
    portRange: { why: 'kube-proxy has not used it since its userspace mode went' },
    showHiddenMetricsForVersion: { why: 'no metric is hidden' },
    windowsRunAsService: { why: WINDOWS },
    'winkernel.enableDSR': { why: WINDOWS },
    'winkernel.forwardHealthCheckVip': { why: WINDOWS },
    'winkernel.networkName': { why: WINDOWS },
    'winkernel.rootHnsEndpointName': { why: WINDOWS },
    'winkernel.sourceVip': { why: WINDOWS },
  }),
)

/** The fields of a document that have no effect, by their paths; those that ask for nothing are left out. */
export function withoutEffectIn(root: ConfigFields): Readonly<Record<string, Json>> {
  const found: Record<string, Json> = {}
  for (const [path, { usual }] of FIELDS_WITHOUT_EFFECT) {
    const steps = path.split('.')
    const name = steps.pop() ?? ''
    const value = steps.reduce((fields, step) => fields.within(step), root).value(name)
    if (!asksForNothing(value) && value !== usual) found[path] = value as Json
  }
  return found
}

/** A line for each reason, with the fields that it is true of. */
export function warningsOfNoEffect(found: Readonly<Record<string, Json>>): readonly string[] {
  const byReason = new Map<string, string[]>()
  for (const path of Object.keys(found)) {
    const why = FIELDS_WITHOUT_EFFECT.get(path)?.why ?? ''
    byReason.set(why, [...(byReason.get(why) ?? []), path])
  }
  return [...byReason].map(([why, paths]) => `${paths.join(', ')}: no effect here: ${why}`)
}

const asksForNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === 0 ||
  value === '0' ||
  value === '0s' ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0)
