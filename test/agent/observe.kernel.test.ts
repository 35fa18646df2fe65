import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepObject, type JsonObject, type KubernetesObject } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { root } from '../support/source-tree.js'
import { worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import type { RunningAgent } from './running-agent.js'
import { createSteadyChanges } from './steady-changes.js'

/*
 * `run --observe` beside what writes rules: the project's own agent under changes, which hangs while damage is done by hand, and
 * rules that a real kube-proxy wrote, restored one after the other. `npm run soak:observe` is the long form: ten minutes of some
 * 50 changes a second; POINTSMAN_SEED repeats one.
 */

const IS_LONG = process.env['POINTSMAN_SOAK_OBSERVE'] === '1'
const { services, pauseMs, rounds, roundMs } = IS_LONG
  ? { services: 200, pauseMs: 18, rounds: 20, roundMs: 30_000 }
  : { services: 30, pauseMs: 25, rounds: 2, roundMs: 5000 }
const SEED = Number(process.env['POINTSMAN_SEED'] ?? (IS_LONG ? Date.now() % 1_000_000 : 3))

const METRICS = 'http://127.0.0.1:10349'

interface Deed {
  readonly name: string
  /** The first that fits what is there is done. */
  readonly command: (saved: string) => string
  readonly said: RegExp
}

/** What people and programs do to a proxy's rules. */
const DEEDS: readonly Deed[] = [
  {
    name: 'a chain is flushed',
    command: () => 'iptables-nft -t nat -F KUBE-SERVICES',
    said: /the rules are wrong: .*IPv4 nat KUBE-SERVICES: \d+ missing rules/,
  },
  {
    name: 'a rule is deleted',
    command: (saved) => `iptables-nft -t nat -D ${chainIn(saved, 'KUBE-SVC-')} 1`,
    said: /the rules are wrong: .*IPv4 nat KUBE-SVC-\w+: .*(?:missing|changed) rule/,
  },
  {
    name: 'a rule of others is inserted',
    command: () => 'iptables-nft -t nat -I KUBE-SERVICES -d 10.96.250.1/32 -j ACCEPT',
    said: /the rules are wrong: .*IPv4 nat KUBE-SERVICES: 1 foreign rule/,
  },
  {
    name: 'a DNAT leads elsewhere',
    command: (saved) => {
      const chain = chainIn(saved, 'KUBE-SEP-')
      const count = saved.split('\n').filter((line) => line.startsWith(`-A ${chain} `)).length
      return `iptables-nft -t nat -R ${chain} ${count} -p tcp -j DNAT --to-destination 10.244.9.9:666`
    },
    said: /the rules are wrong: .*IPv4 nat KUBE-SEP-\w+: 1 changed rule/,
  },
]

const chainIn = (saved: string, prefix: string): string =>
  new RegExp(`^-A (${prefix}\\w+) `, 'm').exec(saved)?.[1] ?? ''

describeIptables('an observer', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
  })
  afterEach(() => node.stopAll())
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  /** Does it, and gives the pid of the process. */
  const does = (deed: Deed): number => {
    const words = deed.command(node.saved('iptables-save.txt'))
    return Number(node.run(`sh -c echo\${IFS}$$;exec\${IFS}${words.replaceAll(' ', '${IFS}')}`).split('\n')[0])
  }
  const wrongLines = (said: string): readonly string[] => said.match(/^.*the rules are wrong.*$/gm) ?? []

  test(
    `of an agent under changes accuses it of nothing, and names what is done while it hangs (POINTSMAN_SEED=${SEED})`,
    { timeout: rounds * (roundMs + 90_000) + 60_000 },
    async () => {
      await node.server.putAll(worldOf(services))
      const changes = createSteadyChanges(node.server, services, pauseMs)
      const proxy = node.start()
      await proxy.hasSaid(/synced everything/)
      const log = folder.path('observed.db')
      const observer = node.start('--observe', '--log', log, '-v', '2')
      await observer.hasSaid(/rules in force as of seq/)
      for (let round = 0; round < rounds; round += 1) {
        const before = observer.said().length
        changes.resume()
        await sleep(roundMs)
        await changes.pause()
        expect(wrongLines(observer.said().slice(before))).toEqual([])
        const deed = DEEDS[(SEED + round) % DEEDS.length] as Deed
        await node.converged(60_000)
        proxy.signal('SIGSTOP')
        const pid = does(deed)
        await said(observer, before, deed.said)
        expect(wrongLines(observer.said().slice(before)).at(-1)).toContain(`iptables-nft (process ${pid})`)
        proxy.signal('SIGCONT')
        await said(observer, before, /the rules are right again/)
        if (IS_LONG)
          process.stdout.write(
            `round ${round + 1}: ${changes.count()} changes, ${deed.name}: ${wrongLines(observer.said().slice(before)).join('\n')}\n`,
          )
      }
      const { body } = await node.get(`${METRICS}/metrics`)
      expect(Number(/^pointsman_observe_event_to_rules_seconds_count (\d+)/m.exec(body)?.[1])).toBeGreaterThan(50)
      expect(body).toContain(`pointsman_observe_damages_total ${rounds}\n`)
      expect(body).toContain('pointsman_observe_wrong_seconds 0\n')
      if (IS_LONG)
        process.stdout.write(`${body.match(/^(?:pointsman_observe|process_(?:cpu|resident)).*/gm)?.join('\n')}\n`)
      observer.signal('SIGTERM')
      expect(await observer.ended).toEqual({ status: 0, signal: null })
      const reader = openChangeLog(log)
      const codes = [...reader.records({ types: ['notice'] })].flatMap((record) =>
        record.type === 'notice' && record.code.startsWith('RULES_') ? [record.code] : [],
      )
      reader.close()
      expect(codes).toEqual(Array.from({ length: rounds }, () => ['RULES_WRONG', 'RULES_RIGHT']).flat())
    },
  )

  test(
    'of recorded rules takes each for what it is, writes nothing, and needs CAP_NET_ADMIN alone',
    { timeout: 180_000 },
    async () => {
      const objects = (scenario: string): readonly KubernetesObject[] => {
        const file = `${root}/fixtures/golden/kube-proxy-1.36/${scenario}/objects.json`
        const { items } = JSON.parse(readFileSync(file, 'utf8')) as { readonly items: readonly JsonObject[] }
        return items.flatMap((item) => keepObject(item) ?? [])
      }
      const restore = (scenario: string): void =>
        void node.run(`iptables-nft-restore ${root}/fixtures/golden/kube-proxy-1.36/${scenario}/iptables-save.txt`)
      const there = async (): Promise<readonly KubernetesObject[]> =>
        (await Promise.all([node.server.objects('services'), node.server.objects('endpointslices')])).flat()
      const bring = async (scenario: string): Promise<void> => {
        const wanted = objects(scenario)
        const names = new Set(wanted.map(nameOf))
        for (const object of await there()) if (!names.has(nameOf(object))) await node.server.delete(object)
        await node.server.putAll(wanted)
      }
      for (const name of ['ct_state_invalid_dropped_pkts', 'localhost_nps_accepted_pkts'])
        if (!node.run('nfacct list').includes(name)) node.run(`nfacct add ${name}`)
      await bring(SCENARIOS[0])
      restore(SCENARIOS[0])
      const ruleset = (): string => node.run('nft --stateless list ruleset')
      const legacy = (): string =>
        node.run('sh -c cat${IFS}/proc/net/ip_tables_names${IFS}/proc/net/ip6_tables_names;true')
      const settings = (): string =>
        node.run('sysctl -a --pattern ^net.(netfilter|ipv4.conf)').replace(/^.*conntrack_count.*$/m, '')
      const before = { ruleset: ruleset(), legacy: legacy(), settings: settings() }
      const observer = node.startAfter(
        'mount -o bind,ro /proc/sys /proc/sys; set -- setpriv --bounding-set=-all,+net_admin --no-new-privs -- "$@"',
        '--observe',
        '--log',
        folder.path('recorded.db'),
      )
      await observer.hasSaid(/rules in force as of seq/)
      expect({ ruleset: ruleset(), legacy: legacy(), settings: settings() }).toEqual(before)
      for (const scenario of SCENARIOS.slice(1)) {
        await bring(scenario)
        await sleep(IS_LONG ? 3000 : 500)
        restore(scenario)
        const head = (): Promise<number> => metric('pointsman_head_seq')
        await until(
          async () =>
            (await metric('pointsman_applied_seq')) === (await head()) &&
            (await metric('pointsman_behind_seconds')) === 0,
        )
      }
      expect(wrongLines(observer.said())).toEqual([])
      for (const deed of DEEDS.slice(1)) {
        const from = observer.said().length
        const pid = does(deed)
        await said(observer, from, deed.said)
        expect(wrongLines(observer.said().slice(from)).at(-1)).toContain(`iptables-nft (process ${pid})`)
        const { status, body } = await node.get(`${METRICS}/readyz`)
        expect(status).toBe(503)
        expect(JSON.parse(body)).toMatchObject({
          checks: { audit: { ok: false, wrong: { by: [`iptables-nft (process ${pid})`] } } },
        })
        expect(await metric('pointsman_observe_wrong_seconds')).toBeGreaterThan(1)
        restore(SCENARIOS.at(-1) ?? '')
        await said(observer, from, /the rules are right again, after [\d.]+ s/)
      }
      observer.signal('SIGTERM')
      expect(await observer.ended).toEqual({ status: 0, signal: null })
    },
  )

  const metric = async (name: string): Promise<number> => {
    const { body } = await node.get(`${METRICS}/metrics`)
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)?.[1])
  }
})

const SCENARIOS = ['cluster-ip', 'external-ips', 'no-endpoints', 'session-affinity', 'node-port'] as const

const nameOf = ({ kind, metadata: { namespace = '', name } }: KubernetesObject): string =>
  `${kind} ${namespace}/${name}`

const PATIENCE_MS = 60_000

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('it does not hold')
    await sleep(200)
  }
}

async function said(agent: RunningAgent, from: number, line: RegExp): Promise<void> {
  await until(async () => line.test(agent.said().slice(from))).catch(() => {
    throw new Error(`the observer has not said ${String(line)}:\n${agent.said()}`)
  })
}
