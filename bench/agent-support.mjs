// What the benchmarks of a whole agent share: services of a few endpoints, the test API server in a network namespace, and processes as /proc has them.
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { service, slice } from '@pointsman/core/testing'

const named = (index) => ({ name: `service-${index}`, namespace: `ns-${index % 50}` })
export const serviceOf = (index) => {
  const clusterIP = `10.96.${index >> 8}.${index & 255}`
  return service({ ...named(index), spec: { clusterIP, clusterIPs: [clusterIP] } })
}
/** Its slice; each generation (0 to 5) has another first endpoint. */
export const sliceOf = (index, { endpoints, generation = 0 }) =>
  slice({
    name: `service-${index}-1`,
    namespace: `ns-${index % 50}`,
    service: `service-${index}`,
    endpoints: Array.from(
      { length: endpoints },
      (_, at) =>
        `10.${100 + (index >> 10)}.${(index >> 2) & 255}.${(index & 3) * 60 + at + 1 + (at === 0 ? generation * 10 : 0)}`,
    ),
  })

/** The test API server behind words that lead into a namespace; `started` resolves when it listens. */
export function startServer([program, ...words] = []) {
  const main = fileURLToPath(new URL('../packages/core/dist/testing/api-server/main.js', import.meta.url))
  const child = fork(main, {
    serialization: 'advanced',
    ...(program !== undefined && { execPath: program, execArgv: [...words, process.execPath] }),
  })
  let calls = 0
  const waiting = new Map()
  child.on('message', (message) => {
    waiting.get(message.type === 'started' ? 0 : message.id)?.(message.result)
  })
  const started = new Promise((resolve) => waiting.set(0, resolve))
  child.send({ type: 'start', options: { bookmarkIntervalMs: 500 } })
  const call = (name, ...args) =>
    new Promise((resolve) => {
      waiting.set(++calls, resolve)
      child.send({ type: 'call', id: calls, call: name, args })
    })
  return { started, call, kill: () => child.kill('SIGKILL') }
}

/** MB (2^20) of a process now and at its peak. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024)
  return { rss: of('VmRSS'), peak: of('VmHWM') }
}
