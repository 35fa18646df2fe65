import type { Json } from './kubernetes-object.js'

/**
 * Whether a value can be the name or the namespace of an object: the characters of a DNS subdomain. Names become
 * identities and comments of rules, so that nothing with a slash, a colon, a quote or a line break may pass.
 */
export const isObjectName = (value: Json | undefined): value is string =>
  typeof value === 'string' && value.length <= 253 && /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(value)

/** Whether a value can be the name of a port: empty, or the characters of a DNS label in either case. */
export const isPortName = (value: Json | undefined): value is string =>
  typeof value === 'string' && value.length <= 63 && /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(value)
