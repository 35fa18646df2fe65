import { HEALTH_CHECK_NODE_PORT } from './cluster.js'
import type { ListeningSocket } from './host.js'
import { addressOf, FAMILIES, type Name } from './names.js'
import type { HostName } from './topology.js'

/** A TCP port that answers on the node and on the internet, and that no service of a scenario has. */
export const FREE_PORT = 7777

/** On what each host answers. */
export const SOCKETS: { readonly [host in HostName]: readonly ListeningSocket[] } = {
  client: [],
  node: everywhere(80, 30080, 30081, HEALTH_CHECK_NODE_PORT.web, FREE_PORT),
  internet: everywhere(80, 30080, 30081, FREE_PORT),
  'near-a': podSockets('near-a'),
  'near-b': podSockets('near-b'),
  far: podSockets('far-c', 'far-d'),
}

function podSockets(...pods: readonly Name[]): readonly ListeningSocket[] {
  return pods.flatMap((pod) =>
    FAMILIES.flatMap((family) => [
      ...[8080, 9090].flatMap((port) =>
        (['tcp', 'udp'] as const).map((protocol) => ({ protocol, address: addressOf(pod, family), port })),
      ),
      { protocol: 'echo' as const, address: addressOf(pod, family), port: 7070 },
    ]),
  )
}

function everywhere(...ports: readonly number[]): readonly ListeningSocket[] {
  return ports.map((port) => ({ protocol: 'tcp', address: '::', port }))
}
