// node watch-and-print.js [RECEIVE_BUFFER_BYTES]
//
// Watches the generations of the network namespace that it runs in and prints a line of JSON for each thing that it is
// called with. A line of standard input: `ask` prints the generation; `hold` stops the event loop until the file that it
// names is there; `close` closes the watch and `abort` aborts its signal; after `throw`, the next generation makes its callback
// throw. Nothing but the watch and standard input keeps it running.
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { generation, NetfilterError, watchGenerations } from '../index.js'

const print = (line: object): void =>
  console.log(JSON.stringify(line, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)))

const stopping = new AbortController()
let isThrowing = false
const [bytes] = process.argv.slice(2)
try {
  const watch = await watchGenerations({
    onGeneration: (found) => {
      if (isThrowing) throw new NetfilterError('FAILED', { operation: 'callback' })
      print({ type: 'generation', ...found })
    },
    signal: stopping.signal,
    onMissed: (missed) => print({ type: 'missed', ...missed }),
    ...(bytes === undefined ? {} : { receiveBufferBytes: Number(bytes) }),
  })
  const input = createInterface({ input: process.stdin })
  print({ type: 'ready', since: watch.since, pid: process.pid })
  input.on('line', (line) => {
    const [command, path = ''] = line.split(' ')
    if (command === 'ask') void generation().then((now) => print({ type: 'now', ...now }))
    if (command === 'hold') {
      print({ type: 'holding' })
      while (!existsSync(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
    if (command === 'exit') process.exit(7)
    if (command === 'throw') isThrowing = true
    if (command === 'close') watch.close()
    if (command === 'abort') stopping.abort()
  })
  await watch.ended.finally(() => {
    input.close()
    process.stdin.destroy()
  })
  print({ type: 'ended' })
} catch (error) {
  if (!(error instanceof NetfilterError)) throw error
  const { code, errno, errnoName, message } = error
  print({ type: 'failed', code, errno, errnoName, message })
}
