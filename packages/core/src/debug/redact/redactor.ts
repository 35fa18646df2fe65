import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { Author } from '../../model/watch-event.js'
import { pseudonymsFrom } from './pseudonyms.js'
import type { KeyedHash } from './pseudonyms.js'
import { addressRedactor } from './redact-address.js'
import {
  redactManager,
  redactObject,
  redactOperation,
  redactSubresource,
  redactVersion,
  type Redaction,
} from './redact-object.js'

/** Replaces names and addresses consistently: see `createRedactor`. */
export interface Redactor {
  object(object: KubernetesObject): KubernetesObject
  author(author: Author): Author
  /** Of a bookmark. */
  resourceVersion(version: string): string
}

/**
 * Takes every name and address out of objects, and leaves what a service proxy decides by. Every text becomes a
 * pseudonym (the same text the same one) unless it is known to say nothing in its place: the API's own words (`ClusterIP`,
 * `TCP`), times, versions, the well-known keys of labels, annotations and taints, and the names in `KEPT_NAMES`. Addresses and
 * networks keep how they lie in each other. Ports and counts are kept.
 */
export function createRedactor(hash: KeyedHash): Redactor {
  const address = addressRedactor((text) => ((hash(`bit:${text}`)[0] ?? 0) & 1) === 1)
  const redaction: Redaction = { ...pseudonymsFrom(hash), address }
  return {
    object: (object) => redactObject(object, redaction),
    author: ({ manager, operation, time, subresource }) => ({
      manager: redactManager(manager, redaction),
      operation: redactOperation(operation, redaction),
      ...(time !== undefined && { time }),
      ...(subresource !== undefined && { subresource: redactSubresource(subresource, redaction) }),
    }),
    resourceVersion: (version) => redactVersion(version, redaction),
  }
}
