// node udp-ask.mjs ADDRESS PORT SOURCE_PORT
//
// Sends datagrams from one port until one is answered, prints the answer and ends; ends without one after a second.
import { createSocket } from 'node:dgram'

const [address, port, sourcePort] = process.argv.slice(2)
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
const ask = () => socket.send('?', Number(port), address, () => undefined)
socket.on('message', (answer) => {
  process.stdout.write(String(answer))
  process.exit()
})
// A refusal that the kernel hands back is no answer.
socket.on('error', () => undefined)
socket.bind(Number(sourcePort), () => {
  ask()
  setInterval(ask, 100)
  setTimeout(() => process.exit(), 1000)
})
