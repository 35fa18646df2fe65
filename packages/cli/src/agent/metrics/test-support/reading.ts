import type { Registry } from 'prom-client'

/** What a scrape gives. */
export interface Reading {
  readonly text: string
  /** Of a series as it is written: `name{label="value"}`. */
  readonly value: (series: string) => number | undefined
  /** Upper bounds of a histogram, each once, without +Inf. */
  readonly buckets: (histogram: string) => readonly string[]
}

export async function createReading(registry: Registry): Promise<Reading> {
  const text = await registry.metrics()
  const values = new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))] as const),
  )
  return {
    text,
    value: (series) => values.get(series),
    buckets: (histogram) => {
      const bounds = [...values.keys()]
        .filter((series) => series.startsWith(`${histogram}_bucket{`))
        .map((series) => /le="([^"]+)"/.exec(series)?.[1] ?? '')
      return [...new Set(bounds)].filter((bound) => bound !== '+Inf')
    },
  }
}
