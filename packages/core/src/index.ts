export { CONFIG_KIND, configDocument } from './config/config-document.js'
export { FIELDS_WITHOUT_EFFECT, KNOWN_CONFIG_FIELDS, KNOWN_FEATURE_GATES } from './config/known-fields.js'
export { type AgentConfigResult, HEALTHZ_PORT, METRICS_PORT, readAgentConfig } from './config/read-agent-config.js'
export {
  type ConfigError,
  type ProxyConfigResult,
  type ReadConfigOptions,
  readProxyConfig,
} from './config/read-proxy-config.js'
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
  type FlowRules,
  type FlowTable,
  type FlowTuple,
  groupOf,
  isTranslated,
  type ListedGroup,
  planFlowDeletions,
  type ServedFronts,
  type ServedFrontsInput,
  servedFrontsOf,
  udpFrontsOf,
} from './conntrack/stale-flows.js'
export * from './debug/blame-rules.js'
export {
  selectorOf,
  SLICE_REASONS,
  sliceComparer,
  type SliceComparison,
  type SliceFinding,
  type SliceReason,
} from './debug/compare-slices.js'
export { describeChange, endpointsByAddress, type ObjectChange } from './debug/describe-change.js'
export * from './debug/diff-objects.js'
export * from './debug/diff-rules.js'
export { findIncidents } from './debug/find-incidents.js'
export * from './debug/follow-fate.js'
export * from './debug/outage.js'
export { POD_REASONS, type PodFinding } from './debug/pod-findings.js'
export { createRedactor, type KeyedHash, type Redactor } from './debug/redact/redactor.js'
export * from './debug/rule-history.js'
export { type PodSelection, selectPods } from './debug/select-pods.js'
export { createEditFinder, type EditFinder } from './debug/service-edits.js'
export * from './model/address.js'
export * from './model/diagnostic.js'
export * from './model/endpoint-selection.js'
export * from './model/endpoint.js'
export { diffMergePatch, isEqual, isJsonObject, jsonEqual, mergePatch } from './model/json-value.js'
export { keepObject } from './model/keep-object.js'
export * from './model/kubernetes-object.js'
export { assertNever, atOnce, type Brand, codeOf, messageOf, shortList } from './model/language.js'
export { escapeControls } from './model/shown-text.js'
export * from './model/names.js'
export {
  answersOnLocalhost,
  isLoopback,
  type LocalSource,
  localSourceOf,
  type NodeInfo,
  nodeInfoOf,
  nodeIpOf,
  nodePortAddressesOf,
  type NodeResult,
  nodeWithoutObject,
} from './model/node.js'
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
export * from './model/record.js'
export * from './model/service-port.js'
export { servicePortsOf, type ServicePortsResult, writtenSourceRanges } from './model/service-ports.js'
export { endpointsOfSlice, gatherEndpoints, type SliceEndpoints, type UnownedSlice } from './model/slice-endpoints.js'
export { isEndpoints, sliceOfEndpoints } from './model/slice-forms.js'
export { formatGoDuration, parseGoDuration, parseRfc3339 } from './model/time-formats.js'
export * from './model/watch-event.js'
export * from './pipeline/bounded-frequency.js'
export * from './pipeline/recorder.js'
export { ENGINE_NOTICE_CODES, type Refusal, type RefusalChanges } from './pipeline/refusals.js'
export * from './pipeline/replay.js'
export * from './pipeline/restore-state.js'
export * from './pipeline/sync-engine.js'
export { heldUntil, trackChanges } from './pipeline/track-changes.js'
export * from './ports/api-server.js'
export * from './ports/backend.js'
export * from './ports/chain-hash.js'
export * from './ports/change-log.js'
export * from './ports/dataplane.js'
export * from './ports/digest-sum.js'
export * from './ports/machine.js'
export * from './ports/trace-question.js'
export * from './ports/trace.js'
export * from './ports/refused-services.js'
export * from './ports/sync-mark.js'
export * from './ports/turns.js'
export { type Verdict } from './route/capture.js'
export * from './route/node-classes.js'
export { type PacketSemantics, packetSemanticsOf } from './route/packet-semantics.js'
export { type Route, route, type RouteEndpoint, type RouteFront } from './route/route.js'
export { type InForce, type Packet, ROUTE_ERROR_CODES, RouteError, type RouteErrorCode } from './route/source.js'
export { byAge, createOverlapIndex, inOverlapOrder, type OverlapGroup, type OverlapIndex } from './state/overlaps.js'
export {
  type FrontTraffic,
  frontTrafficOf,
  type HealthCheckedService,
  healthCheckedServices,
  type PortTraffic,
  portTraffic,
  vipsLetIn,
} from './state/port-traffic.js'
export { heldPortKey, portsToHold, type HeldPort } from './state/held-ports.js'
export * from './state/state-fold.js'
export * from './state/state.js'
