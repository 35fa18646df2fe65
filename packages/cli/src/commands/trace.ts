import { type Trace, TraceError } from '@pointsman/core'
import { type Command, Option } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { describeAsked, withPointOptions } from '../input/asked-objects.js'
import { withInputOptions } from '../input/open-input.js'
import { withConfigOptions } from '../input/proxy-config.js'
import { withRulesetOptions } from '../input/ruleset-options.js'
import { parseFormat, writeDocument } from '../output/json.js'
import { outputOption } from '../output/output-option.js'
import { withExamples } from '../output/with-examples.js'
import { PACKET_FORM } from '../packet/parse-packet.js'
import { packetNames, type PacketNames } from '../packet/packet-names.js'
import { traceDocument } from '../trace/trace-document.js'
import { askTrace, type AskedTrace, type TraceOptions } from '../trace/trace-question.js'
import { traceText } from '../trace/trace-text.js'

const FORMATS = ['text', 'wide', 'json'] as const

export function registerTrace(program: Command, context: Context): void {
  const command = program
    .command('trace <packet...>')
    .summary('the way of a packet through the rules, with odds, and "why not"')
    .description(
      `Follows a packet through the rules of a node: every hook, table, chain and rule that it meets, what matched, what did ` +
        `not and why, with odds at each branch. PACKET is '${PACKET_FORM}'. SOURCE is an address, a pod, a Node, node for the ` +
        'node itself, or outside; DESTINATION is an address, a Service, a pod or a Node. The exit status is 0 where the packet ' +
        'reaches endpoints, 1 where it is rejected, dropped, or no service’s.',
    )
    .option(
      '--rules <file>',
      'what iptables-save printed, or - for standard input, in place of the rules that objects make',
    )
    .option('--node <name>', 'the node that the packet is on (else the configured one, else the only Node)')
    .option('--in-interface <name>', 'the interface by which the packet arrives')
    .option('--out-interface <name>', 'the interface by which it leaves the node')
    .addOption(new Option('--state <state>', 'what conntrack says of it').choices(['new', 'established', 'invalid']))
    .option('--connection <endpoint>', 'ADDRESS:PORT that conntrack sends an established connection to')
    .option(
      '--affinity <endpoint>',
      'an endpoint, or list of -m recent, that remembers the sender; none: no other does (several times)',
      (endpoint: string, endpoints: readonly string[] | undefined) => [...(endpoints ?? []), endpoint],
    )
    .option('--every-rule', 'tell of every rule that did not match, not only of those that nearly did')
    .addOption(outputOption(FORMATS))
    .action(async (words: readonly string[], options: TraceOptions & { readonly output?: string }) =>
      trace(words.join(' '), options, context),
    )
  withRulesetOptions(command, {
    family: 'ipv4 or ipv6, where names have both',
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    "pointsman trace 'tcp 10.244.1.9 -> shop/checkout:http' --log shop.db --at 14:03",
    "pointsman trace 'udp node -> kube-system/kube-dns:dns' --log shop.db --cluster-cidr 10.244.0.0/16",
    "iptables-save | pointsman trace 'tcp outside -> 192.168.55.10:30080' --rules - --node-address 192.168.55.10",
    "pointsman trace 'tcp 10.244.1.9 -> 10.96.0.10:53' --log shop.db -o json | jq '.endpoints[].odds'",
  ])
}

async function trace(
  text: string,
  options: TraceOptions & { readonly output?: string },
  context: Context,
): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  const asked = await askTrace(text, options, context)
  const found = traced(asked)
  const names = packetNames(asked.names)
  warnOfOtherNode(asked, names, context)
  const assumptions = [...asked.assumptions, ...found.assumptions]
  const summarised = { packet: asked.packet, trace: found, assumptions, names }
  if (format === 'json') writeDocument(context, traceDocument(summarised, asked))
  else {
    const { style, stdout } = context
    stdout.print([style.dim(whose(asked)), ...traceText(summarised, { style, wide: format === 'wide' })])
  }
  const reaches = found.fates.every(({ fate }) => fate === 'endpoints')
  if (!reaches) context.finish(1)
}

/** What is wrong with the rules, or with the packet for them, is the user's business. */
function traced({ dataplane, rules, question }: AskedTrace): Trace {
  try {
    return dataplane.trace(rules, question)
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
