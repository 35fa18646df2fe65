import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { configDocument } from '@pointsman/core'
import { writeConfigDocument } from '@pointsman/core/io'
import type { Command } from 'commander'
import { map, NEVER } from 'rxjs'
import { agentConfigOf, type RunRequest } from '../agent/config/agent-config-of.js'
import { type AgentOptions, withAgentOptions } from '../agent/config/agent-options.js'
import { watchConfigFile } from '../agent/config/watch-config-file.js'
import { initializeMachine } from '../agent/initialize-machine.js'
import { type Context, modesOf, warn } from '../context.js'
import { CliError } from '../errors.js'
import { exitStatusOf } from '../exit-status-of.js'
import { byteStream } from '../input/open-input.js'
import { bootId } from '../machine/boot-id.js'
import { PLAIN } from '../output/colour.js'
import { describeFailure } from '../output/describe-failure.js'
import { withExamples } from '../output/with-examples.js'
import { cleanup } from './cleanup.js'

export function registerRun(program: Command, context: Context): void {
  const command = program
    .command('run')
    .summary('run the node agent in place of kube-proxy')
    .description(
      "Programs this node's rules for the cluster's Services in place of kube-proxy, with kube-proxy's flags, KubeProxyConfiguration, " +
        'rules, metrics and health checks. The agent records what it sees and does in the change log, and starts from it while the API server is unreachable. ' +
        'SIGTERM stops the agent; the rules stay. Requires CAP_NET_ADMIN and, for iptables-legacy, CAP_NET_RAW.',
    )
    .action(async (options: AgentOptions) => run(options, program.version() ?? '', context))
  withExamples(withAgentOptions(command), [
    'pointsman run --config /var/lib/kube-proxy/config.conf --hostname-override node-a',
    'pointsman run --kubeconfig /etc/kubernetes/kube-proxy.conf --cluster-cidr 10.244.0.0/16',
    'pointsman run --write-config-to kube-proxy.yaml',
  ])
}

async function run(options: AgentOptions, version: string, context: Context): Promise<void> {
  const request = await agentConfigOf(options, {
    stdin: byteStream(context.stdin),
    env: context.env,
    hostname: hostname(),
    modes: modesOf(context),
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
  if (settings.observe) {
    throw new CliError(
      'USAGE',
      '--observe is not built yet: use `pointsman record` to follow a cluster and `pointsman audit` to compare rules',
    )
  }
  // Loading all that an agent has takes a while, which nothing else has to wait for.
  const { runAgent } = await import('../agent/run-agent.js')
  const running = runAgent(
    {
      ...settings,
      config,
      nodeName: request.nodeName,
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
    const { createAgentLogger } = await import('../agent/agent-logger.js')
    // Whoever reads JSON lines can read nothing else, the last one included.
    const message = describeFailure(error, { style: PLAIN, dataplanes: context.dataplanes })
      .join('\n')
      .replace(/^error: /, '')
    const { say } = createAgentLogger({ ...config.logging, sink: context.stderr, now: context.now })
    say({ level: 'error', message, verbosity: 0 })
    context.finish(exitStatusOf(error))
  })
}
