import { displayName, parseServicePortName, type ServicePortName } from '@pointsman/core'
import type { Iptables } from 'node-iptables'

/**
 * iptables that refuses new rules of some service ports: in what is restored, they jump to a chain that is not there. A rule
 * that stands in the tables already may be moved, as in a kernel. `owners` is asked at each restore.
 */
export function refusing<T extends Iptables>(iptables: T, owners: () => Iterable<ServicePortName>): T {
  return {
    ...iptables,
    restore: async (request, limits) => {
      const names = [...owners()]
        .map(parseServicePortName)
        .filter(({ family }) => family === iptables.family)
        .map(displayName)
      const lines = 'lines' in request && typeof request.lines === 'function' ? [...(request.lines() as string[])] : []
      const accepted = new Set<string>()
      if (names.length > 0) for await (const line of iptables.saveLines({})) accepted.add(line)
      const isRefused = (line: string): boolean =>
        /^-[AI] /.test(line) &&
        names.some((name) => [`--comment ${name} `, `"${name} `, `"${name}" `].some((words) => line.includes(words))) &&
        !accepted.has(line.replace(/^-I /, '-A '))
      const refused = lines.map((line) => (isRefused(line) ? line.replace(/ -j \S.*$/, ' -j KUBE-NOT-THERE') : line))
      await iptables.restore({ ...request, lines: () => refused }, limits)
    },
  }
}
