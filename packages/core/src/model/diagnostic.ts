import type { Json } from './kubernetes-object.js'

/** Something in an object that was left out or read otherwise than written. Never an exception: the rest still counts. */
export interface Diagnostic {
  readonly code: DiagnosticCode
  /** `Service shop/checkout`. */
  readonly object: string
  /** Where in the object: `spec.loadBalancerSourceRanges[1]`. */
  readonly path: string
  readonly value?: Json
  readonly message: string
}

export const DIAGNOSTIC_CODES = {
  NOT_AN_ADDRESS: 'the value is not an IP address',
  NOT_A_CIDR: 'the value is not a CIDR',
  NOT_A_PORT: 'the value is not a port number from 1 to 65535',
  UNKNOWN_PROTOCOL: 'the protocol is not TCP, UDP or SCTP',
  OTHER_FAMILY: 'the address is not of an IP family of the Service or EndpointSlice',
  WRONG_TYPE: 'the field does not have the type that the API defines',
  UNKNOWN_VALUE: 'the value is not one that the API defines',
  OUT_OF_RANGE: 'the number is outside the range that the API allows',
  INVALID_NAME: 'the name is not valid in the API, and cannot be used in a rule',
  DUPLICATE_PORT: 'an earlier port has the same name and protocol',
  NO_SERVICE_NAME: 'the EndpointSlice has no kubernetes.io/service-name label, so it belongs to no Service',
  UNSUPPORTED_ADDRESS_TYPE: "the EndpointSlice's addressType is neither IPv4 nor IPv6",
  NO_PORT_NAME: 'the port has no name, not even an empty one: ignored, as by kube-proxy',
  NO_PORT_NUMBER: 'the port has no number: ignored, as by kube-proxy',
  NO_ADDRESS: 'the endpoint has no address',
  NO_HEALTH_CHECK_PORT: 'the policy requires a health-check node port and the Service has none',
} as const
export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES
