import { type Assumption, TraceError, type Trace } from '@pointsman/core'
import { traceTogether } from '@pointsman/core/trace'
import { Option, type Command } from 'commander'
import { warn, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { describeAsked, withInputOptions, withPointOptions } from '../../input/open-input.js'
import { withConfigOptions } from '../../input/proxy-config.js'
import { asksEveryNode, withRulesetOptions } from '../../input/rules-question.js'
import { withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument } from '../../output/json.js'
import { alsoLookAtTrace } from '../../packet/also-look-at.js'
import { packetNames, type PacketNames } from '../../packet/names.js'
import { PACKET_FORM } from '../../packet/resolve-packet.js'
import { askTrace, exitStatusOf, type AskedTrace, type TraceOptions } from './answer.js'
import { exitStatusOfNodes, traceEveryNode, traceOfNodesDocument, traceOfNodesText } from './every-node.js'
import { traceDocument, withoutHead } from './json.js'
import type { TraceJson } from './schema.js'
import { traceText, type Summarised } from './text.js'

const FORMATS = ['text', 'wide', 'json'] as const

export function registerTrace(program: Command, context: Context): void {
  const command = program
    .command('trace <packet...>')
    .summary('follow a packet through the rules, with probabilities and reasons')
    .description(
      `Follows a packet through the rules of a node: each hook, table, chain and rule it traverses, which rules match, which do ` +
        `not and why, and the probability of each branch. PACKET is '${PACKET_FORM}', or 'icmp SOURCE -> DESTINATION' for a ping. SOURCE is an address, a pod, a Node, node for the ` +
        'node itself, or outside; DESTINATION is an address, a Service, a pod, a Node, or localhost for 127.0.0.1 and ::1. Exits with 0 if the packet ' +
        'reaches endpoints, 1 if it is rejected, dropped, or not for a Service, 4 if that depends on something that neither the ' +
        'rules nor the input say.',
    )
    .option(
      '--rules <file>',
      'iptables-save output (or of iptables -S, or -nvL), nft list ruleset output as text or JSON, a directory or tar archive that has it, or - for standard input, instead of the rules for the objects; several listings of one node are followed together (repeatable)',
      (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
    )
    .option(
      '--node <name>',
      'the node that handles the packet, or all: each Node in turn, those with the same answer in one row (default: the configured node, else the only Node)',
    )
    .option('--in-interface <name>', 'the input interface of the packet')
    .option('--out-interface <name>', 'the output interface of the packet')
    .addOption(
      new Option('--state <state>', 'the conntrack state of the packet').choices(['new', 'established', 'invalid']),
    )
    .option('--connection <endpoint>', 'ADDRESS:PORT that conntrack has translated an established connection to')
    .option(
      '--affinity <endpoint>',
      'an endpoint, or a list of -m recent, that holds the sender for session affinity; none: no list does (repeatable)',
      (endpoint: string, endpoints: readonly string[] | undefined) => [...(endpoints ?? []), endpoint],
    )
    .option('--ipset <file>', 'ipset save or ipset list output, for rules with -m set')
    .option(
      '--interface-address <name=address>',
      'an address of one interface, which MASQUERADE and REDIRECT take (repeatable)',
      (address: string, addresses: readonly string[] | undefined) => [...(addresses ?? []), address],
    )
    .option('--uid <number>', 'the user that sends the packet, if the node sends it')
    .option('--gid <number>', 'the group that sends the packet, if the node sends it')
    .option('--mac <address>', 'the MAC address that the packet comes from')
    .option('--physdev-in <name>', 'the bridge port that the packet comes in by; none: by no bridge')
    .option('--physdev-out <name>', 'the bridge port that the packet goes out by; none: by no bridge')
    .option('--every-rule', 'list every rule that does not match, not only near misses')
    .addOption(outputOption(FORMATS))
    .action(async (words: readonly string[], options: TraceOptions & { readonly output?: string }) =>
      trace(words.join(' '), options, context),
    )
  withRulesetOptions(command, {
    family: 'ipv4 or ipv6, for names with addresses of both',
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    "pointsman trace 'tcp 10.244.1.9 -> shop/checkout:http' --log shop.db --at 14:03",
    "pointsman trace 'udp node -> kube-system/kube-dns:dns' --log shop.db --cluster-cidr 10.244.0.0/16",
    "pointsman trace 'tcp outside -> 203.0.113.10:80' --log cluster.db --node all",
    "iptables-save | pointsman trace 'tcp outside -> 192.168.55.10:30080' --rules - --node-address 192.168.55.10",
    "pointsman trace 'tcp outside -> 192.168.55.10:30080' --rules iptables-save.txt --rules nft-ruleset.json --node-address 192.168.55.10",
    "pointsman trace 'tcp 10.244.1.9 -> 10.96.0.10:53' --log shop.db -o json | jq '.endpoints[].odds'",
  ])
}

async function trace(
  text: string,
  options: TraceOptions & { readonly output?: string },
  context: Context,
): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  if (asksEveryNode(options)) {
    const answer = await traceEveryNode(text, options, context)
    if (format === 'json') writeDocument(context, traceOfNodesDocument(answer))
    else context.stdout.print(traceOfNodesText(answer, context.style))
    const found = exitStatusOfNodes(answer)
    if (found !== 0) context.finish(found)
    return
  }
  const asked = await askTrace(text, options, context)
  const answers = [asked, ...(asked.otherFamily === undefined ? [] : [asked.otherFamily])].map((each) =>
    answerOf(each, context),
  )
  if (format === 'json') {
    const [first, other] = answers.map((each) => traceDocument(each, each.asked))
    if (first === undefined) return
    const document: TraceJson = { ...first, otherFamily: other && withoutHead(other) }
    writeDocument(context, document)
  } else {
    const { style, stdout } = context
    const lines = answers.map((each) => [
      style.dim(whose(each.asked)),
      ...traceText(each, { style, wide: format === 'wide' }),
    ])
    stdout.print(lines.flatMap((each, index) => (index === 0 ? each : ['', ...each])))
  }
  const statuses = answers.map(({ trace: found }) => exitStatusOf(found))
  const status = STATUSES.find((one) => statuses.includes(one)) ?? 0
  if (status !== 0) context.finish(status)
}

/** Of two families, the one by which a client gets further. */
const STATUSES = [0, 4, 1] as const

type Answer = Summarised & { readonly asked: AskedTrace }

function answerOf(asked: AskedTrace, context: Context): Answer {
  const { found, arrival } = tracedByNoBridge(asked)
  const names = packetNames(asked.names)
  warnOfOtherNode(asked, names, context)
  const assumptions = [...asked.assumptions, ...arrival, ...found.assumptions]
  const alsoLookAt = alsoLookAtTrace({ ...asked, trace: found })
  return { packet: asked.packet, trace: found, assumptions, names, alsoLookAt, asked }
}

/**
 * Rules of kube-proxy 1.20 for external IPs ask whether a packet comes in by a port of a bridge, to tell pods of this node from other machines. Of
 * a packet that is no pod's of this node, or comes by an interface that is given and is not called as bridges are, it is assumed to come
 * by none, where the verdict depends on that. Pods of this node come by one or not, which is their network's business: that stays open.
 */
function tracedByNoBridge(asked: AskedTrace): { readonly found: Trace; readonly arrival: readonly Assumption[] } {
  const found = traced(asked)
  const { question, assumptions } = asked
  const { from, source, inInterface, bridgeIn } = question.packet
  const asks = (found.dependsOn ?? []).filter(({ code }) => code === 'BRIDGE_PORT')
  const isGiven = inInterface !== undefined && !assumptions.some(({ code }) => code === 'IN_INTERFACE')
  const isByNone = isGiven ? !BRIDGES.test(inInterface) : from === 'outside'
  if (bridgeIn !== undefined || !isByNone || asks.length === 0 || asks.some(({ text }) => !text.endsWith(ANY_PORT)))
    return { found, arrival: [] }
  const why = isGiven ? `it arrives by ${inInterface}` : `${source} is no pod of this node`
  const message = `${why}: taken to come in by no port of a bridge (--physdev-in says otherwise)`
  return {
    found: traced({ ...asked, question: { ...question, packet: { ...question.packet, bridgeIn: '' } } }),
    arrival: [{ code: 'BRIDGE_PORT', message }],
  }
}

const ANY_PORT = 'comes in by a port of a bridge'
const BRIDGES = /^(?:cni|cbr|br|docker|virbr|weave|kube-bridge)/

/** What is wrong with the rules, or with the packet for them, is the user's business. */
function traced({ listings, question }: AskedTrace): Trace {
  const [only, ...others] = listings
  try {
    if (only !== undefined && others.length === 0) return only.dataplane.trace(only.rules, question)
    return traceTogether(
      listings.map(({ dataplane, rules }) => {
        const rulesOf = dataplane.traceable?.(rules)
        if (rulesOf === undefined) throw new CliError('BAD_INPUT', `rules of mode ${dataplane.mode} are followed alone`)
        return rulesOf
      }),
      question,
    )
  } catch (error) {
    if (!(error instanceof TraceError)) throw error
    throw new CliError('BAD_INPUT', error.message, { cause: error })
  }
}

/** Rules of the sender's own node come first. */
function warnOfOtherNode({ packet, node }: AskedTrace, names: PacketNames, context: Context): void {
  const sender = names.host(packet.source)
  if (sender?.node === undefined || node === undefined || sender.node === node.name) return
  const who = sender.pod === undefined ? '' : ` (${sender.pod})`
  warn(
    context,
    `${packet.source}${who} is on ${sender.node}, whose rules its packets meet first: this is about those that come to ${node.name} as they were sent; --node ${sender.node} asks there`,
  )
}

function whose({ asked, node, packet }: AskedTrace): string {
  const rules = asked === undefined ? 'the rules given' : describeAsked(asked)
  return `${rules}${node === undefined ? '' : `, node ${node.name}`}, ${packet.family}`
}
