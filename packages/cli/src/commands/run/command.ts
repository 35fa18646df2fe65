import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import {
  CONFIG_KIND,
  configDocument,
  parseAddress,
  readAgentConfig,
  type AgentConfig,
  type Dataplane,
  type Json,
} from '@pointsman/core'
import { readConfigDocument, writeConfigDocument, type ConfigDocument } from '@pointsman/core/io'
import type { Command } from 'commander'
import { map, NEVER } from 'rxjs'
import {
  readGoFlag,
  readRunSettings,
  withAgentOptions,
  type AgentOptions,
  type RunSettings,
} from '../../agent/config/agent-options.js'
import { watchConfigFile } from '../../agent/config/watch-config-file.js'
import { initializeMachine } from '../../agent/machine-settings.js'
import { modesOf, warn, type Context } from '../../context.js'
import { CliError, describeFailure, exitStatusOf } from '../../errors.js'
import { byteStream } from '../../input/open-input.js'
import { configurationError, givenFlags, KUBE_PROXY_FLAGS, overlayFlags } from '../../input/proxy-config.js'
import { familiesOf, withLayout } from '../../input/rules-question.js'
import { bootId } from '../../machine/open-machine.js'
import { withExamples } from '../../output/format-text.js'
import { PLAIN } from '../../output/terminal.js'
import { cleanup } from '../cleanup/command.js'

export function registerRun(program: Command, context: Context): void {
  const command = program
    .command('run')
    .summary('run the node agent in place of kube-proxy')
    .description(
      "Programs this node's rules for the cluster's Services in place of kube-proxy, with kube-proxy's flags, KubeProxyConfiguration, " +
        'rules, metrics and health checks. The agent records what it sees and does in the change log, and starts from it while the API server is unreachable. ' +
        'SIGTERM stops the agent; the rules stay. With --observe it writes no rules and sets nothing: it runs beside a service proxy, and says since when ' +
        'its rules are behind or wrong. Requires CAP_NET_ADMIN and, for iptables-legacy, CAP_NET_RAW.',
    )
    .action(async (options: AgentOptions) => run(options, program.version() ?? '', context))
  withExamples(withAgentOptions(command), [
    'pointsman run --config /var/lib/kube-proxy/config.conf --hostname-override node-a',
    'pointsman run --kubeconfig /etc/kubernetes/kube-proxy.conf --cluster-cidr 10.244.0.0/16',
    'pointsman run --observe --config /var/lib/kube-proxy/config.conf --log /var/lib/pointsman/observed.db',
    'pointsman run --write-config-to kube-proxy.yaml',
  ])
}

async function run(options: AgentOptions, version: string, context: Context): Promise<void> {
  const request = await agentConfigOf(options, {
    stdin: byteStream(context.stdin),
    env: context.env,
    hostname: hostname(),
    modes: modesOf(context),
    dataplanes: context.dataplanes,
  })
  switch (request.action) {
    case 'version':
      context.stdout.print(version)
      return
    case 'write-config':
      for (const warning of request.warnings) warn(context, warning)
      writeConfigDocument(request.writeConfigTo ?? '', configDocument(request.config), {
        unique: randomBytes(6).toString('hex'),
      })
      return
    case 'cleanup':
      return cleanup({ iptablesVariant: request.settings.iptablesVariant }, context)
    case 'init-only':
      return initializeMachine(request.config, context)
    case 'run':
      return runUntilEnded(request, version, context)
  }
}

async function runUntilEnded(request: RunRequest, version: string, context: Context): Promise<void> {
  const { config, settings, configFile } = request
  // Loading all that an agent has takes a while, which nothing else has to wait for.
  const { runAgent } = await import('../../agent/run-agent.js')
  const running = runAgent(
    {
      ...settings,
      config,
      nodeName: request.nodeName,
      hostname: hostname(),
      nodeAddresses: settings.interfaceAddresses,
      bootId: bootId(),
      maxAgeMs: settings.maxLogAgeAtStartMs,
      version,
      flags: request.flags,
      warnings: request.warnings,
      configChanged:
        configFile === undefined
          ? NEVER
          : watchConfigFile(configFile).pipe(
              map(({ type }) => `${configFile.path} was ${type}: exiting, to be restarted with the new configuration`),
            ),
    },
    context,
  )
  if (config.logging.format !== 'json') return running
  await running.catch(async (error: unknown) => {
    const { createAgentLogger } = await import('../../agent/agent-log.js')
    // Whoever reads JSON lines can read nothing else, the last one included.
    const message = describeFailure(error, { style: PLAIN, dataplanes: context.dataplanes })
      .join('\n')
      .replace(/^error: /, '')
    const { say } = createAgentLogger({ ...config.logging, sink: context.stderr, now: context.now })
    say({ level: 'error', message, verbosity: 0 })
    context.finish(exitStatusOf(error))
  })
}

/** What `pointsman run` is to do, in the order in which kube-proxy looks at its flags. */
export interface RunRequest {
  readonly action: 'version' | 'write-config' | 'cleanup' | 'init-only' | 'run'
  readonly config: AgentConfig
  /** --hostname-override, else the configuration's, else the machine's. */
  readonly nodeName: string
  readonly settings: RunSettings
  /** --write-config-to. */
  readonly writeConfigTo?: string
  /** The file that was read, for `watchConfigFile`; absent without one, and for standard input. */
  readonly configFile?: { readonly path: string; readonly text: string }
  /** Flags in force, by name without dashes: those that were given, and our own by default. */
  readonly flags: Readonly<Record<string, string>>
  /** For a person, each once: fields without effect, flags that kube-proxy would have ignored. */
  readonly warnings: readonly string[]
}

interface Surroundings {
  readonly stdin: AsyncIterable<Buffer | string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** The machine's name. */
  readonly hostname: string
  /** The data planes that there are; the first is the default. Default: iptables alone. */
  readonly modes?: readonly [string, ...string[]]
  /** The same with the layouts of each. Default: any layout will do. */
  readonly dataplanes?: readonly Pick<Dataplane, 'mode' | 'layouts'>[]
}

/**
 * The effective configuration of an agent: `--config` with the flags in place of its fields, as everywhere in this
 * command. CliError USAGE for a flag, FileError for the file, each naming what is wrong.
 */
export async function agentConfigOf(options: AgentOptions, surroundings: Surroundings): Promise<RunRequest> {
  const settings = readRunSettings(options, surroundings.env)
  const given = givenFlags(options)
  const file = options.config === undefined ? undefined : await readConfigDocument(options.config, surroundings.stdin)
  const servers = { healthz: serverFlag('healthz', options, given), metrics: serverFlag('metrics', options, given) }
  const overlaid = overlayFlags(file === undefined ? CONFIG_KIND : file.document, withoutServersOff(given, servers))
  const {
    config: read,
    warnings,
    errors,
  } = readAgentConfig(overlaid, {
    ...surroundings,
    ofFlags: new Set(given.keys()),
  })
  const error = configurationError(errors, { given, file: file?.name })
  if (error !== undefined) throw error
  const proxy = withLayout(settings, read.proxy, { dataplanes: surroundings.dataplanes ?? [] })
  const config = withServers(settings.observe ? beside(given, servers) : servers, {
    ...read,
    proxy: settings.family === undefined ? proxy : { ...proxy, families: familiesOf(settings, {}) },
    client: withServer(read.client, options.master),
  })
  return {
    action: actionOf(options),
    config,
    nodeName: config.proxy.nodeName ?? nameOf(surroundings.hostname),
    settings,
    ...(options.writeConfigTo !== undefined && { writeConfigTo: options.writeConfigTo }),
    ...(file !== undefined && options.config !== '-' && { configFile: { path: file.name, text: file.text } }),
    flags: flagsInForce(options),
    warnings: [
      ...warnings.map((warning) => (file === undefined ? warning : `${file.name}: ${warning}`)),
      ...warningsOfDeprecated(options),
      ...warningsOfFlags(given, file),
    ],
  }
}

const flagsInForce = (options: AgentOptions): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(options).map(([key, value]) => [flagName(key), String(value)]))

const flagName = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

function actionOf(options: AgentOptions): RunRequest['action'] {
  // `--version=raw` asks for it too.
  if (options.version !== undefined && options.version !== 'false') return 'version'
  if (options.writeConfigTo !== undefined) return 'write-config'
  if (readGoFlag('--cleanup', options.cleanup) === true) return 'cleanup'
  return readGoFlag('--init-only', options.initOnly) === true ? 'init-only' : 'run'
}

const nameOf = (hostname: string): string => hostname.trim().toLowerCase()

const withServer = (client: AgentConfig['client'], master = ''): AgentConfig['client'] =>
  master === '' ? client : { ...client, server: master }

type Server = 'healthz' | 'metrics'
/** What the command line says of a server: that there is none, or a port for an address that names none. */
type ServerFlag =
  | { readonly off: true }
  | { readonly off: false; readonly port?: number; readonly at?: NonNullable<AgentConfig['metricsBindAddress']> }
type Servers = Readonly<Record<Server, ServerFlag>>

/** An empty address, or port 0, is no server; the port counts for an address that was given without one (kube-proxy). */
function serverFlag(server: Server, options: AgentOptions, given: ReadonlyMap<string, Json>): ServerFlag {
  const text = options[`${server}Port`]
  const address = given.get(`${server}BindAddress`)
  if (address === '' || (text !== undefined && Number(text) === 0)) return { off: true }
  if (text === undefined) return { off: false }
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
    throw new CliError('USAGE', `--${server}-port ${JSON.stringify(text)} is not a port number`)
  }
  const isAlone = typeof address === 'string' && parseAddress(address) !== undefined
  return isAlone ? { off: false, port: Number(text) } : { off: false }
}

// In a document an empty address is the default one.
const withoutServersOff = (given: ReadonlyMap<string, Json>, servers: Servers): ReadonlyMap<string, Json> =>
  new Map(
    [...given].filter(([path]) => !SERVERS.some((server) => path === `${server}BindAddress` && servers[server].off)),
  )

const SERVERS: readonly Server[] = ['healthz', 'metrics']

/**
 * An observer runs beside the service proxy, which has the ports of the configuration: it serves metrics at a port of its own, and
 * health only where a flag asks for it.
 */
const beside = (given: ReadonlyMap<string, Json>, { healthz, metrics }: Servers): Servers => ({
  healthz: given.has('healthzBindAddress') ? healthz : { off: true },
  metrics: given.has('metricsBindAddress') || metrics.off ? metrics : { off: false, at: OBSERVER_ADDRESS },
})

const OBSERVER_ADDRESS = { host: '127.0.0.1', port: 10_349 }

function withServers(servers: Servers, config: AgentConfig): AgentConfig {
  return SERVERS.reduce((configured, server) => {
    const { [`${server}BindAddress` as const]: address, ...others } = configured
    const flag = servers[server]
    if (flag.off || address === undefined) return others
    if (flag.at !== undefined) return { ...others, [`${server}BindAddress`]: flag.at }
    return { ...others, [`${server}BindAddress`]: flag.port === undefined ? address : { ...address, port: flag.port } }
  }, config)
}

const warningsOfDeprecated = (options: AgentOptions): readonly string[] =>
  SERVERS.filter((server) => options[`${server}Port`] !== undefined).map(
    (server) => `--${server}-port is deprecated: use --${server}-bind-address`,
  )

/** Where kube-proxy would go by the file: users of kube-proxy should not be surprised by a flag that it ignored. */
function warningsOfFlags(given: ReadonlyMap<string, Json>, file: ConfigDocument | undefined): readonly string[] {
  if (file === undefined) return []
  const flags = KUBE_PROXY_FLAGS.filter(({ path, besideConfig }) => given.has(path) && besideConfig !== true)
  if (flags.length === 0) return []
  const names = flags.map(({ flag }) => flag).join(', ')
  return [`${names}: overrides ${file.name}; kube-proxy would use the value in the file`]
}
