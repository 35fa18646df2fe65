import { addressOf, formatRestoreLine, networkOf, parseRestoreLine } from 'node-iptables'

const written = [
  '-A WEB --dst 10.1.2.3/8 -p tcp --destination-port 80:80 -j ACCEPT',
  '-A WEB -m statistic --probability 0.3333 --mode random -j WEB-1',
  '-A WEB -j MARK --or-mark 16384',
  '-I WEB 1 -m conntrack --ctstate related,established -j ACCEPT',
]
for (const line of written) console.log(formatRestoreLine(parseRestoreLine(line)))
// -> -A WEB -d 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT
// -> -A WEB -m statistic --mode random --probability 0.33330000006 -j WEB-1
// -> -A WEB -j MARK --set-xmark 0x4000/0x4000
// -> -I WEB -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT

console.log(networkOf('10.1.2.3/255.0.0.0')?.network, addressOf('FD00:0:0::1'))
// -> 10.0.0.0/8 fd00::1
