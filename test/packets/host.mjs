import { createSocket } from 'node:dgram'
import { connect, createServer, isIPv6 } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

/*
 * Runs in one network namespace: answers there who it is, and sends what it is told to. A request is a line of JSON on
 * standard input, its answer a line on standard output with the same `id`; the end of the input is the end of it.
 */
const [, , host = ''] = process.argv

const answer = ({ localAddress, localPort, remoteAddress }) =>
  JSON.stringify({ host, at: plain(localAddress), port: localPort, peer: plain(remoteAddress) })

/** A peer that is gone before it is greeted gets nothing. */
const greet = (socket) => {
  socket.on('error', () => {})
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.end(answer(socket))
}

/** A socket of both families spells IPv4 addresses in IPv6's way. */
const plain = (address) => address.replace(/^::ffff:/, '')

const LISTEN = {
  tcp: ({ address, port }) =>
    new Promise((resolve, reject) => {
      const server = createServer(greet)
      server.once('error', reject).listen({ host: address, port, backlog: 4096 }, resolve)
    }),
  /** Says back what it hears, for as long as the other wants. */
  echo: ({ address, port }) =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
      server.once('error', reject).listen({ host: address, port }, resolve)
    }),
  udp: ({ address, port }) =>
    new Promise((resolve, reject) => {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
      socket.on('message', (_, { address: peer, port: peerPort }) => {
        socket.send(answer({ localAddress: address, localPort: port, remoteAddress: peer }), peerPort, peer, () => {})
      })
      socket.once('error', reject).bind({ address, port }, resolve)
    }),
}

const UDP_REPEAT_MS = 300

/** On a busy machine timers are due together with answers that came in time: those are taken in first. */
const afterWhatWaits = (then) => setImmediate(() => setImmediate(() => then()))

const SEND = {
  tcp: ({ from, to, port, timeoutMs }) =>
    new Promise((resolve) => {
      const socket = connect({ host: to, port, localAddress: from })
      let sender
      let text = ''
      const done = (result) => {
        clearTimeout(timer)
        // A reset leaves no port behind that waits; but it would wait for a connection.
        if (socket.connecting) socket.destroy()
        else socket.resetAndDestroy()
        resolve({ sender, ...result })
      }
      const timer = setTimeout(() => afterWhatWaits(() => done({ type: 'no-answer' })), timeoutMs)
      socket.on('connect', () => {
        sender = plain(socket.localAddress)
        timer.refresh()
      })
      socket.on('data', (data) => (text += String(data)))
      socket.on('end', () => done({ type: 'answer', ...JSON.parse(text) }))
      socket.on('error', (error) => done(failure(error)))
    }),
  udp: ({ from, to, port, timeoutMs }) =>
    new Promise((resolve) => {
      const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4')
      let sender
      let repeating
      const done = (result) => {
        clearTimeout(timer)
        clearInterval(repeating)
        socket.removeAllListeners().on('error', () => {})
        socket.close()
        resolve({ sender, ...result })
      }
      const timer = setTimeout(() => afterWhatWaits(() => done({ type: 'no-answer' })), timeoutMs)
      socket.on('error', (error) => done(failure(error)))
      socket.on('message', (data) => done({ type: 'answer', ...JSON.parse(String(data)) }))
      socket.bind({ address: from }, () =>
        socket.connect(port, to, () => {
          sender = socket.address().address
          // The node's own packets that are refused cannot even be sent (EPERM); why is told as to everybody else.
          const ask = () => {
            socket.send('who are you?', (error) => error && error.code !== 'EPERM' && done(failure(error)))
          }
          ask()
          // Many at once are more than a socket holds: it loses some.
          repeating = setInterval(ask, UDP_REPEAT_MS)
        }),
      )
    }),
}

const failure = ({ code }) => (code === 'ECONNREFUSED' ? { type: 'refused' } : { type: 'failed', code })

/** What became of a dial, in a word: the socket that answered, the host of one that is no pod's, or why none did. */
const told = ({ type, host, at, port, code }) => {
  if (type !== 'answer') return code ?? type
  return host === 'node' || host === 'internet' ? host : `${at}:${port}`
}

/** Connections that stay open. */
const held = []

const hold = ({ from, to, port }) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: to, port, localAddress: from })
    socket.once('error', reject).once('connect', () => {
      socket.off('error', reject).on('error', () => {})
      held.push(socket)
      resolve()
    })
  })

/** Whether what is said on a connection is said back, in time. */
const isAnswered = (socket, { timeoutMs }) =>
  new Promise((resolve) => {
    if (socket.destroyed) return resolve(false)
    const end = (answered) => {
      clearTimeout(timer)
      socket.off('data', heard).off('close', closed)
      resolve(answered)
    }
    const [heard, closed] = [() => end(true), () => end(false)]
    const timer = setTimeout(closed, timeoutMs)
    socket.on('data', heard).on('close', closed).write('still there?')
  })

let dialing

/** Dials each target again and again, one dial of it after the other; counts what becomes of them, and in which rounds. */
const startDialing = ({ targets, timeoutMs, pauseMs }) => {
  const state = { round: 0, end: Infinity, tallies: targets.map(() => ({})) }
  const dial = async (target, tally) => {
    const word = told(await SEND.tcp({ ...target, timeoutMs }))
    tally[word] ??= { count: 0, first: state.round }
    tally[word].count += 1
    tally[word].last = state.round
  }
  const rounds = (async () => {
    for (; state.round < state.end; state.round++) {
      await Promise.all(targets.map((target, index) => dial(target, state.tallies[index])))
      await pause(pauseMs)
    }
  })()
  dialing = { state, rounds }
}

const REQUESTS = {
  hold: ({ packet, times }) => Promise.all(Array.from({ length: times }, () => hold(packet))).then(() => 'held'),
  speak: (request) => Promise.all(held.map((socket) => isAnswered(socket, request))),
  'let-go': async () => held.splice(0).forEach((socket) => socket.destroy()),
  dial: async (request) => startDialing(request),
  'hang-up': async () => {
    // The round after this one begins after the request.
    dialing.state.end = dialing.state.round + 2
    await dialing.rounds
    return dialing.state.tallies
  },
  listen: ({ sockets }) =>
    Promise.all(sockets.map((socket) => LISTEN[socket.protocol](socket))).then(() => 'listening'),
  send: ({ packet, times }) => Promise.all(Array.from({ length: times }, () => SEND[packet.protocol](packet))),
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, request } = JSON.parse(line)
    REQUESTS[request.type](request).then(
      (result) => process.stdout.write(`${JSON.stringify({ id, result })}\n`),
      (error) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
    )
  })
  .on('close', () => process.exit())
