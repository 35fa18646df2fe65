// node flood.mjs ADDRESS PORT: sends a UDP datagram from a new socket each, as fast as it can, until standard input ends;
// then prints how many.
import { createSocket } from 'node:dgram'

const [address = '', port = ''] = process.argv.slice(2)
let count = 0
let isOver = false
process.stdin.resume().once('end', () => (isOver = true))

function next() {
  if (isOver) return console.log(count)
  for (let at = 0; at < 20; at++) {
    const socket = createSocket('udp4')
    socket.on('error', () => undefined)
    socket.send('x', Number(port), address, () => socket.close())
    count += 1
  }
  setTimeout(next, 1)
}
next()
