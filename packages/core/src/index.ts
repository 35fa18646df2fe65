export { describeChange, type ObjectChange } from './debug/describe-change.js'
export * from './debug/diff-objects.js'
export {
  type ConntrackHook,
  type ConntrackHookOptions,
  type ConntrackReport,
  createConntrackHook,
  type FamilyFlows,
} from './conntrack/conntrack-hook.js'
export {
  CONNTRACK_ERRORS,
  ConntrackError,
  type ConntrackErrorCode,
  type Flow,
  type FlowFilter,
  type FlowGroup,
  type FlowTable,
  type FlowTuple,
  groupOf,
  isTranslated,
} from './conntrack/flow-table.js'
export {
  type FlowRules,
  planFlowDeletions,
  type ServedFronts,
  servedFrontsOf,
  type ServedFrontsInput,
  udpFrontsOf,
} from './conntrack/stale-flows.js'
export { diffObjects, type ObjectDifference } from './debug/diff-objects.js'
export { createEditFinder, type EditFinder } from './debug/service-edits.js'
export * from './debug/blame-rules.js'
export * from './debug/diff-rules.js'
export * from './debug/rule-history.js'
export * from './debug/what-changed.js'
export { endpointCondition } from './model/endpoint.js'
export * from './debug/follow-fate.js'
export { findIncidents } from './debug/find-incidents.js'
export type { FlipCause } from './debug/follow-fate.js'
export * from './debug/outage.js'
export { recordsInOrder } from './debug/blame-rules.js'
export {
  selectorOf,
  SLICE_REASONS,
  type SliceComparison,
  sliceComparer,
  type SliceFinding,
  type SliceReason,
} from './debug/compare-slices.js'
export { POD_REASONS, type PodFinding } from './debug/pod-findings.js'
export { type PodSelection, selectPods } from './debug/select-pods.js'
export { type KeyedHash, createRedactor, type Redactor } from './debug/redact/redactor.js'
export * from './model/address.js'
export * from './model/diagnostic.js'
export * from './model/endpoint.js'
export * from './model/endpoint-selection.js'
export { isEqual, isJsonObject, diffMergePatch, jsonEqual, mergePatch } from './model/json-value.js'
export * from './model/kubernetes-object.js'
export { assertNever, type Brand, codeOf, messageOf, shortList } from './model/language.js'
export * from './model/names.js'
export { answersOnLocalhost, isLoopback, nodeIpOf, nodePortAddressesOf } from './model/node-addresses.js'
export { type NodeInfo, nodeWithoutObject, nodeInfoOf, type NodeResult } from './model/node.js'
export {
  bothOdds,
  CERTAIN,
  dyadicOdds,
  IMPOSSIBLE,
  isCertain,
  isImpossible,
  type Odds,
  oddsToNumber,
  oneIn,
  otherOdds,
  sumOfOdds,
} from './model/odds.js'
export * from './model/packet.js'
export * from './model/proxy-config.js'
export {
  type AgentConfig,
  type ClientConfig,
  type ConntrackConfig,
  DEFAULT_AGENT_CONFIG,
  type LoggingConfig,
} from './model/proxy-config.js'
export { configDocument, CONFIG_KIND } from './config/config-document.js'
export { FIELDS_WITHOUT_EFFECT, KNOWN_CONFIG_FIELDS, KNOWN_FEATURE_GATES } from './config/known-fields.js'
export { type AgentConfigResult, HEALTHZ_PORT, METRICS_PORT, readAgentConfig } from './config/read-agent-config.js'
export {
  type ConfigError,
  type ProxyConfigResult,
  type ReadConfigOptions,
  readProxyConfig,
} from './config/read-proxy-config.js'
export { formatSocketAddress, parseSocketAddress, type SocketAddress } from './model/address.js'
export * from './model/record.js'
export * from './model/service-port.js'
export { escapeControls } from './model/shown-text.js'
export {
  isOfAllAddresses,
  servicePortsOf,
  type ServicePortsResult,
  writtenSourceRanges,
} from './model/service-ports.js'
export { gatherEndpoints, endpointsOfSlice, type SliceEndpoints, type UnownedSlice } from './model/slice-endpoints.js'
export type * from './model/watch-event.js'
export type * from './ports/api-server.js'
export * from './ports/backend.js'
export * from './ports/change-log.js'
export * from './ports/dataplane.js'
export type * from './ports/audit.js'
export type * from './ports/rule-item.js'
export * from './ports/trace.js'
export * from './ports/trace-question.js'
export type * from './ports/machine.js'
export * from './state/state.js'
export * from './state/build-state.js'
export { byAge, createOverlapIndex, inOverlapOrder, type OverlapGroup, type OverlapIndex } from './state/overlaps.js'
export * from './state/state-fold.js'
export {
  type FrontTraffic,
  frontTrafficOf,
  type PortTraffic,
  portTraffic,
  type HealthCheckedService,
  healthCheckedServices,
} from './state/port-traffic.js'

export { type Packet, ROUTE_ERROR_CODES, RouteError, type RouteErrorCode } from './route/packet.js'
export { route, type Route, type RouteEndpoint, type RouteFront } from './route/route.js'
export type { InForce } from './route/source.js'
export type { Verdict } from './route/capture.js'
export { watchEventOf } from './model/watch-event.js'
export * from './pipeline/bounded-frequency.js'
export * from './pipeline/recorder.js'
export { ENGINE_NOTICE_CODES, type Refusal, type RefusalChanges } from './pipeline/refusals.js'
export * from './pipeline/replay.js'
export * from './pipeline/restore-state.js'
export * from './pipeline/sync-engine.js'
export { VirtualClock } from './pipeline/virtual-clock.js'
export { parseRfc3339, formatGoDuration, parseGoDuration } from './model/time-formats.js'
export { authorOf } from './model/author.js'
export { keepObject } from './model/keep-object.js'
