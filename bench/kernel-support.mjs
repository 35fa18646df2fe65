// What the benchmarks in a kernel share: services of 5 endpoints, and network namespaces to sync them into.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { createIptablesBackend, planRuleset } from '@pointsman/backend-iptables'
import { DEFAULT_PROXY_CONFIG, seq } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import { createIptables } from 'node-iptables'

export const ENDPOINTS = 5
export const config = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.0.0.0/8'] } }
export const signal = new AbortController().signal

export const say = (text) => process.stderr.write(`${text}\n`)
export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

export const portOf = (index, generation = 0) => ({
  is: `ns-${index % 50}/service-${index}:http`,
  port: 80,
  clusterIP: `10.96.${index >> 8}.${index & 255}`,
  endpoints: Array.from(
    { length: ENDPOINTS },
    (_, at) =>
      `10.${100 + (index >> 10)}.${(index >> 2) & 255}.${(index & 3) * 60 + at + 1 + (at === 0 ? generation * 10 : 0)}:8080`,
  ),
})
export const stateWith = (count, generationOf = () => 0) =>
  stateOf({ ports: Array.from({ length: count }, (_, index) => portOf(index, generationOf(index))), node: {} })

export const rulesetOf = (state) => planRuleset(state, config, { family: 'IPv4' })
export const textOf = (lines) => `${[...lines].join('\n')}\n`

/** Of so many, without `gone` of them from `first` on. */
export const stateWithout = (count, gone, first = 0) =>
  stateOf({ ports: Array.from({ length: count }, (_, index) => portOf(index)).toSpliced(first, gone), node: {} })

export const requestFor = (state, changed) => ({ state, changed, fromSeq: seq(1), toSeq: state.seq })

export class Namespace {
  constructor(variant) {
    this.name = `pointsman-bench-${process.pid}-${Namespace.count++}`
    execFileSync('ip', ['netns', 'add', this.name])
    this.variant = variant
  }
  static count = 0
  iptables() {
    return createIptables({ family: 'IPv4', variant: this.variant, prefix: ['ip', 'netns', 'exec', this.name] })
  }
  restore(file) {
    const input = openSync(file, 'r')
    try {
      execFileSync('ip', ['netns', 'exec', this.name, `iptables-${this.variant}-restore`, '--noflush', '--counters'], {
        stdio: [input, 'ignore', 'inherit'],
      })
    } finally {
      closeSync(input)
    }
  }
  async backend(options = {}) {
    return createIptablesBackend({ config, iptables: [await this.iptables()], ...options })
  }
  remove() {
    execFileSync('ip', ['netns', 'del', this.name])
  }
}

export async function timed(work) {
  const started = performance.now()
  const result = await work()
  return { ms: performance.now() - started, result }
}
