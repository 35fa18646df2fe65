// node udp-echo.mjs ADDRESS PORT [ADDRESS PORT ...]
//
// Answers every datagram with the address and port that it came to. Prints "ready" once all are open.
import { createSocket } from 'node:dgram'

const args = process.argv.slice(2)
let opening = args.length / 2
for (let at = 0; at < args.length; at += 2) {
  const [address, port] = args.slice(at, at + 2)
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (_, from) => socket.send(`${address} ${port}`, from.port, from.address))
  socket.bind(Number(port), address, () => {
    if (--opening === 0) process.stdout.write('ready\n')
  })
}
