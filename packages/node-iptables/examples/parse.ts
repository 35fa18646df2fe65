import { formatSave, parseSave } from 'node-iptables'

const saved = `*filter
:INPUT DROP [0:0]
:WEB - [0:0]
-A INPUT ! -i lo -p tcp -m tcp --dport 443 -j WEB
-A WEB -m set --match-set friends src -j ACCEPT
COMMIT
`
const [filter] = parseSave(saved)
const [input, web] = filter?.chains ?? []

console.log(input?.chain, input?.policy)
// -> INPUT DROP
console.log(input?.rules[0]?.rule)
// -> {
// ->   inInterface: { name: 'lo', negated: true },
// ->   protocol: { name: 'tcp', negated: false },
// ->   matches: [ { type: 'tcp', destination: [Object] } ],
// ->   target: { type: 'jump', chain: 'WEB' }
// -> }
console.log(input?.rules[0]?.rule.matches[0])
// -> { type: 'tcp', destination: { first: 443, last: 443, negated: false } }
console.log(web?.rules[0]?.rule.matches[0])
// -> {
// ->   type: 'other',
// ->   name: 'set',
// ->   words: [ '--match-set', 'friends', 'src' ]
// -> }

console.log(formatSave(parseSave(saved)) === saved)
// -> true
