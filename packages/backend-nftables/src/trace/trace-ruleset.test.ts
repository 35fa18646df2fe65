import { oddsToNumber, type Trace, type TraceQuestion } from '@pointsman/core'
import { describe, expect, it } from 'vitest'
import { readTextListing } from '../listing/read-text.js'
import { traceRuleset } from './trace-ruleset.js'

/** Rules of one chain, which is asked at a hook, in a table with what else there is. */
const table = (chains: string, more = ''): string => `table inet t {\n${more}\n${chains}\n}\n`
const chain = (
  hook: string,
  rules: readonly string[],
  { type = 'filter', priority = 'filter', policy = 'accept', name = hook } = {},
): string =>
  `chain ${name} {\ntype ${type} hook ${hook} priority ${priority}; policy ${policy};\n${rules.join('\n')}\n}\n`

const PACKET: TraceQuestion['packet'] = {
  protocol: 'tcp',
  source: '10.244.1.9',
  destination: '10.96.0.10',
  destinationPort: 80,
  from: 'pod',
}

const traceOf = (text: string, packet: Partial<TraceQuestion['packet']> = {}): Trace =>
  traceRuleset(readTextListing(text), {
    packet: { ...PACKET, ...packet },
    surroundings: { nodeAddresses: ['192.168.55.10'] },
  })

/** `endpoints 0.5, dropped 0.5`, or what it depends on. */
const told = ({ fates, dependsOn = [] }: Trace): string =>
  dependsOn.length > 0
    ? `depends on whether ${dependsOn.map(({ text }) => text).join(', or ')}`
    : fates.map(({ fate, odds }) => (oddsToNumber(odds) === 1 ? fate : `${fate} ${oddsToNumber(odds)}`)).join(', ')

describe('a rule', () => {
  it.each([
    ['ip daddr 10.96.0.10 drop', 'dropped'],
    ['ip daddr != 10.96.0.10 drop', 'no-service'],
    ['ip daddr 10.96.0.0/12 tcp dport { 22, 80-90 } drop', 'dropped'],
    ['ip daddr & 255.240.0.0 == 10.96.0.0 drop', 'dropped'],
    ['ip6 daddr fd00::/8 drop', 'no-service'],
    ['udp dport 80 drop', 'no-service'],
    ['meta l4proto { tcp, udp } th dport 80 drop', 'dropped'],
    ['ip protocol tcp tcp flags syn / fin,syn,rst,ack drop', 'dropped'],
    ['ct state established,related drop', 'no-service'],
    ['ct state { new, untracked } drop', 'dropped'],
    ['ct state ! established,related drop', 'dropped'],
    ['ct state ! new,related drop', 'no-service'],
    ['ct status ! snat,dnat drop', 'dropped'],
    ['ct status snat,dnat drop', 'no-service'],
    ['ct status != dnat drop', 'dropped'],
    ['ip protocol tcp tcp flags syn,ack / syn,ack drop', 'depends on whether tcp flags & syn,ack == syn,ack holds'],
    ['ip protocol tcp tcp flags ! syn,ack drop', 'no-service'],
    ['ip protocol tcp tcp flags ! fin,rst drop', 'dropped'],
    ['ip protocol tcp tcp flags != syn / fin,syn,rst,ack drop', 'no-service'],
    ['fib daddr type local drop', 'no-service'],
    ['iifname "eth0" drop', 'depends on whether it arrives by eth0'],
    ['iifname "eth0" tcp dport 443 drop', 'no-service'],
    ['iifname "eth0" counter', 'no-service'],
    ['tcp dport 80 reject with tcp reset', 'rejected'],
    ['numgen random mod 4 == 0 drop', 'no-service 0.75, dropped 0.25'],
    [
      'numgen random mod 3 vmap { 0 : drop, 1-2 : accept }',
      'no-service 0.6666666666666666, dropped 0.3333333333333333',
    ],
    ['jhash ip saddr . tcp sport mod 2 vmap { 0 : drop }', 'dropped 0.5, no-service 0.5'],
    ['meta random & 2147483647 < 1073741824 drop', 'dropped 0.5, no-service 0.5'],
    [
      'ip daddr . meta l4proto . th dport vmap { 10.96.0.10 . tcp . 80 : drop, 10.96.0.10 . udp . 80 : accept }',
      'dropped',
    ],
    ['meta mark set 0x10 meta mark & 0x10 == 0x10 drop', 'dropped'],
    ['meta mark set meta mark | 0x4000 meta mark 0x4000 drop', 'dropped'],
    ['limit rate over 10/second drop', 'no-service'],
    ['ct count over 10 drop', 'depends on whether ct count over 10 holds'],
    ['socket transparent 1 drop', 'depends on whether socket transparent is 1'],
    ['frobnicate the packet', 'depends on whether frobnicate the packet lets it go on as it is'],
    ['# xt_tcpmss drop', 'depends on whether xt "tcpmss" matches'],
    ['queue to 7', 'depends on whether the program that reads queue 7 lets it go on'],
  ])('%s', (rule, fate) => {
    expect(told(traceOf(table(chain('forward', [rule]))))).toBe(fate)
  })
})

// The kernel compares the whole status, in which a translation sets more than the flag of its name.
it.each([
  ['ct status dnat drop', 'dropped'],
  ['ct status == dnat drop', 'depends on whether ct status == dnat holds'],
  ['ct status != dnat drop', 'depends on whether ct status != dnat holds'],
  ['ct status { snat, dnat } drop', 'depends on whether ct status == { snat, dnat } holds'],
  ['ct status != snat drop', 'dropped'],
])('%s, of a connection whose destination was translated', (rule, fate) => {
  const nat = chain('prerouting', ['dnat to 10.244.1.5:8080'], { type: 'nat', priority: 'dstnat' })
  expect(told(traceOf(table(`${nat}${chain('forward', [rule])}`)))).toBe(fate)
})

describe('base chains', () => {
  it('are asked by priority, whichever table they are of', () => {
    const late = chain('forward', ['accept'], { name: 'late', priority: 'filter + 10', policy: 'drop' })
    const early = chain('forward', ['drop'], { name: 'early', priority: 'filter - 10' })
    const trace = traceOf(`table inet a {\n${late}}\ntable ip b {\n${early}}\n`)
    expect(trace.ways[0]?.end).toEqual({ fate: 'dropped', by: { table: 'ip b', chain: 'early', number: 1 } })
  })

  it('end alone with accept, and all of them with drop', () => {
    const first = chain('forward', ['accept'], { name: 'first', priority: '-1' })
    const second = chain('forward', ['drop'], { name: 'second' })
    expect(told(traceOf(table(first + second)))).toBe('dropped')
  })

  it('of a table that is dormant, or of the other family, are not asked', () => {
    const drop = chain('forward', ['drop'])
    expect(told(traceOf(`table ip a {\nflags dormant\n${drop}}\ntable ip6 b {\n${drop}}\n`))).toBe('no-service')
  })

  it('of nat end with the first that translates', () => {
    const nat = { type: 'nat', priority: 'dstnat' }
    const first = chain('prerouting', ['accept'], { ...nat, name: 'a', priority: '-110' })
    const second = chain('prerouting', ['ip daddr 10.96.0.10 tcp dport 80 dnat ip to 10.244.2.1:8080'], {
      ...nat,
      name: 'b',
    })
    const third = chain('prerouting', ['dnat ip to 10.9.9.9'], { ...nat, name: 'c', priority: '-90' })
    const { endpoints } = traceOf(table(third + first + second))
    expect(endpoints.map(({ address, port }) => `${address}:${port}`)).toEqual(['10.244.2.1:8080'])
  })

  it('of a bridge are told as not followed', () => {
    const { assumptions } = traceOf(`table bridge b {\n${chain('forward', ['drop'])}}\n`)
    expect(assumptions.map(({ code }) => code)).toEqual(['CHAIN_NOT_FOLLOWED'])
  })
})

describe('session affinity in dynamic sets', () => {
  const sets = 'set clients {\ntype ipv4_addr\nflags dynamic,timeout\ntimeout 3h\n}'
  const rules = ['ip saddr @clients dnat ip to 10.244.2.1', 'update @clients { ip saddr } dnat ip to 10.244.2.2']
  const text = table(chain('prerouting', rules, { type: 'nat', priority: 'dstnat' }), sets)

  it('takes a sender of which nothing is known for a new client', () => {
    const { endpoints, assumptions } = traceOf(text)
    expect(endpoints.map(({ address }) => address)).toEqual(['10.244.2.2'])
    expect(assumptions.map(({ code }) => code)).toEqual(['NEW_CLIENT'])
  })

  it('leads a client that the listing has where it was', () => {
    const listed = text.replace('timeout 3h\n', 'timeout 3h\nelements = { 10.244.1.9 expires 1h }\n')
    expect(traceOf(listed).endpoints.map(({ address }) => address)).toEqual(['10.244.2.1'])
  })
})

it('a map of addresses and ports by chance gives each its share', () => {
  const rule = 'dnat ip to ip daddr . th dport . numgen random mod 3 map @slots'
  const slots =
    'map slots {\ntype ipv4_addr . inet_service . integer : ipv4_addr . inet_service\n' +
    'elements = { 10.96.0.10 . 80 . 0 : 10.244.2.1 . 8080, 10.96.0.10 . 80 . 1 : 10.244.2.2 . 8080, 10.96.0.10 . 80 . 2 : 10.244.2.3 . 8080 }\n}'
  const { endpoints } = traceOf(table(chain('prerouting', [rule], { type: 'nat', priority: 'dstnat' }), slots))
  expect(endpoints.map(({ address, port, odds }) => `${address}:${port} ${oddsToNumber(odds).toFixed(3)}`)).toEqual([
    '10.244.2.1:8080 0.333',
    '10.244.2.2:8080 0.333',
    '10.244.2.3:8080 0.333',
  ])
})
