// node talk.mjs ADDRESS PORTS SERVER: serves an echo on port SERVER of all addresses, holds ten connections to each of PORTS of ADDRESS, each of which says a byte
// every 10 ms and waits for it, and opens new ones all the time, which say one byte and go. At the end of standard input it prints
// what became of them, as JSON.
import { connect, createServer } from 'node:net'

const [address = '', portList = '', server = ''] = process.argv.slice(2)
const ports = portList.split(',').map(Number)
const said = { opened: 0, failed: [], held: 0, lost: [] }
const over = new AbortController()
process.stdin.resume().once('end', () => over.abort())

createServer((socket) => {
  socket.on('error', () => undefined)
  socket.pipe(socket)
}).listen(Number(server), '0.0.0.0', () => void begin())

/** Undefined: it answered. */
const sayOne = (socket) =>
  new Promise((resolve) => {
    const fail = (error) => resolve(error?.code ?? 'closed')
    socket
      .once('error', fail)
      .once('close', fail)
      .once('data', () => resolve(undefined))
    socket.write('x')
  })

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function hold(port) {
  const socket = connect(port, address)
  socket.setMaxListeners(0)
  do {
    const failure = await sayOne(socket)
    if (failure !== undefined) {
      said.lost.push(failure)
      return
    }
    socket.removeAllListeners('close').removeAllListeners('error')
    await pause(10)
  } while (!over.signal.aborted)
  said.held += 1
  socket.on('error', () => undefined).destroy()
}

async function open(port) {
  while (!over.signal.aborted) {
    const socket = connect(port, address)
    const failure = await sayOne(socket)
    if (failure === undefined) said.opened += 1
    else said.failed.push(failure)
    socket.removeAllListeners('close').on('error', () => undefined)
    // No TIME_WAIT, which would use up the ports.
    socket.resetAndDestroy()
    await pause(0)
  }
}

async function begin() {
  console.error('serving')
  await Promise.all(ports.flatMap((port) => [...Array.from({ length: 10 }, () => hold(port)), open(port), open(port)]))
  console.log(JSON.stringify(said))
  process.exit()
}
