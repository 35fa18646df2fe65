import type { JsonObject } from './kubernetes-object.js'

/** Whether a value that was read from JSON is an object: no list, no null. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
