/**
 * A time in UTC as Go writes it in JSON, which is what readers of kube-proxy's answers parse: a fraction has no zeros at its
 * end, and a whole second none at all. Undefined: Go's zero time.
 */
export function goTime(ms: number | undefined): string {
  if (ms === undefined) return '0001-01-01T00:00:00Z'
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z')
}
