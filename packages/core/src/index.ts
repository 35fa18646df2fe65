export { describeChange, type ObjectChange } from './debug/describe-change.js'
export * from './debug/diff-endpoints.js'
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
export { createEditFinder, type EditFinder } from './debug/edit-finder.js'
export * from './debug/blame-rules.js'
export * from './debug/diff-rules.js'
export * from './debug/rule-history.js'
export * from './debug/what-changed.js'
export { endpointCondition } from './debug/endpoint-condition.js'
export * from './debug/find-break.js'
export { findIncidents } from './debug/find-incidents.js'
export type { FlipCause } from './debug/flip-cause.js'
export * from './debug/follow-fate.js'
export * from './debug/outage.js'
export { recordsInOrder } from './debug/records-in-order.js'
export type { KeyedHash } from './debug/redact/pseudonyms.js'
export { createRedactor, type Redactor } from './debug/redact/redactor.js'
export * from './debug/touches-packet.js'
export * from './model/address.js'
export { assertNever } from './model/assert-never.js'
export type { Brand } from './model/brand.js'
export * from './model/diagnostic.js'
export * from './model/endpoint.js'
export * from './model/explain-selection.js'
export * from './model/endpoint-selection.js'
export { isEqual } from './model/is-equal.js'
export * from './model/kubernetes-object.js'
export * from './model/names.js'
export { answersOnLocalhost, isLoopback, nodeIpOf, nodePortAddressesOf } from './model/node-addresses.js'
export { type NodeInfo, nodeWithoutObject } from './model/node-info.js'
export { nodeInfoOf, type NodeResult } from './model/node.js'
export * from './model/proxy-config.js'
export {
  type AgentConfig,
  type ClientConfig,
  type ConntrackConfig,
  DEFAULT_AGENT_CONFIG,
  type LoggingConfig,
} from './model/agent-config.js'
export { configDocument } from './model/config-document.js'
export { FIELDS_WITHOUT_EFFECT } from './model/config-without-effect.js'
export { KNOWN_CONFIG_FIELDS } from './model/known-config-fields.js'
export { KNOWN_FEATURE_GATES } from './model/known-feature-gates.js'
export { CONFIG_KIND } from './model/open-config-document.js'
export { type AgentConfigResult, HEALTHZ_PORT, METRICS_PORT, readAgentConfig } from './model/read-agent-config.js'
export { type ConfigError, type ProxyConfigResult, readProxyConfig } from './model/read-proxy-config.js'
export { formatSocketAddress, parseSocketAddress, type SocketAddress } from './model/socket-address.js'
export * from './model/record.js'
export * from './model/service-port.js'
export { escapeControls } from './model/shown-text.js'
export { servicePortsOf, type ServicePortsResult } from './model/service-ports.js'
export { gatherEndpoints } from './model/gather-endpoints.js'
export { endpointsOfSlice, type SliceEndpoints, type UnownedSlice } from './model/slice-endpoints.js'
export type * from './model/watch-event.js'
export type * from './ports/api-server.js'
export type * from './ports/backend.js'
export * from './ports/change-log.js'
export * from './ports/dataplane.js'
export type * from './ports/live-source.js'
export * from './state/state.js'
export * from './state/build-state.js'
export * from './state/fronts.js'
export { byAge, createOverlapIndex, inOverlapOrder, type OverlapGroup, type OverlapIndex } from './state/overlaps.js'
export * from './state/state-fold.js'
export { type FrontTraffic, frontTrafficOf, type PortTraffic, portTraffic } from './state/port-traffic.js'
export { type HealthCheckedService, healthCheckedServices } from './state/health-checked-services.js'
export { type Packet, ROUTE_ERROR_CODES, RouteError, type RouteErrorCode } from './route/packet.js'
export { route, type Route, type RouteEndpoint, type RouteFront } from './route/route.js'
export type { InForce } from './route/source.js'
export type { Verdict } from './route/uncaptured.js'
export { watchEventOf } from './model/watch-event-of.js'
export * from './pipeline/bounded-frequency.js'
export * from './pipeline/known-objects.js'
export * from './pipeline/record.js'
export * from './pipeline/recorder.js'
export * from './pipeline/replay.js'
export * from './pipeline/restore-state.js'
export * from './pipeline/resumed-writer.js'
export * from './pipeline/sync-engine.js'
export { VirtualClock } from './pipeline/virtual-clock.js'
export { parseRfc3339 } from './model/rfc3339.js'
export { formatGoDuration, parseGoDuration } from './model/go-duration.js'
export { isJsonObject } from './model/is-json-object.js'
export { authorOf } from './model/author.js'
export { keepObject } from './model/keep-object.js'
export { diffMergePatch, jsonEqual, mergePatch } from './model/merge-patch.js'
