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
  UNKNOWN_PROTOCOL: 'the protocol is none of TCP, UDP and SCTP',
  OTHER_FAMILY: 'the address is of a family that the Service or slice does not have',
  WRONG_TYPE: 'the field is not of the type that the API gives it',
  UNKNOWN_VALUE: 'the value is none of those that the API knows',
  OUT_OF_RANGE: 'the number is outside the range that the API allows',
  INVALID_NAME: 'the name is none that the API accepts, and could not stand in a rule',
  DUPLICATE_PORT: 'a port of the same name and protocol came before',
  NO_SERVICE_NAME: 'the slice has no kubernetes.io/service-name label, so that no Service owns it',
  UNSUPPORTED_ADDRESS_TYPE: 'the slice holds neither IPv4 nor IPv6 addresses',
  NO_PORT_NAME: 'the port has no name, not even an empty one, and is ignored as kube-proxy ignores it',
  NO_PORT_NUMBER: 'the port has no number, and is ignored as kube-proxy ignores it',
  NO_ADDRESS: 'the endpoint has no address',
  NO_HEALTH_CHECK_PORT: 'the policy asks for a health-check node port and the Service has none',
} as const
export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES
