/**
 * Which of two resourceVersions is newer: below 0 the second, above 0 the first, 0 for the same; undefined where they are
 * not both numbers, and nothing can be said. They count over all kinds of a cluster, and may have any number of digits.
 * Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions (comparable since 1.35)
 */
export function compareResourceVersions(one: string, other: string): number | undefined {
  if (!NUMBER.test(one) || !NUMBER.test(other)) return undefined
  const [a, b] = [withoutZeros(one), withoutZeros(other)]
  // Numbers of any length: with equal length their order is that of their digits.
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

const NUMBER = /^[0-9]+$/
const withoutZeros = (digits: string): string => digits.replace(/^0+(?=.)/, '')

/** Whether a version is known to come before another. What is no number counts as newer. */
export const isOlderVersion = (one: string, other: string): boolean => (compareResourceVersions(one, other) ?? 1) < 0
