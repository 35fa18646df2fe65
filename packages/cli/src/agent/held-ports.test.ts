import { DEFAULT_PROXY_CONFIG, NO_SEQ, type ProxyConfig, type State } from '@pointsman/core'
import { createToyDataplane, type PortDescription, stateOf } from '@pointsman/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import type { OpenPort } from '../machine/port-sockets.js'
import { createAgentLines } from './agent-log.js'
import { createHeldPorts, type HeldPortsReport, portNotices, portText } from './held-ports.js'

const WEB: PortDescription = { is: 'shop/web:http', clusterIP: '10.96.0.1', nodePort: 30_080 }
const API: PortDescription = { is: 'shop/api:http', clusterIP: '10.96.0.2', port: 80, externalIPs: ['192.168.55.10'] }

/** Ports of a machine, of which other processes have some. */
let taken: Map<string, string>
let open: string[]
let reports: HeldPortsReport[]
beforeEach(() => {
  taken = new Map()
  open = []
  reports = []
})

const openPort: OpenPort = async (port) => {
  const key = `${port.protocol} ${port.address || '*'}:${port.port}`
  const code = taken.get(key)
  if (code !== undefined) throw Object.assign(new Error(`bind ${code}`), { code })
  open.push(key)
  return { close: async () => void open.splice(open.indexOf(key), 1) }
}

async function holding(layout: ProxyConfig['layout'] = 'classic', maxSockets = 10) {
  const config = { ...DEFAULT_PROXY_CONFIG, layout }
  const ports = createHeldPorts({
    config,
    open: openPort,
    maxSockets,
    now: () => 1000,
    onReport: (report) => void reports.push(report),
  })
  const { signal } = new AbortController()
  const machine = await createToyDataplane().open(
    { config: DEFAULT_PROXY_CONFIG, families: ['IPv4'], choices: {} },
    { requireNetAdmin: () => undefined, interfaceAddresses: () => [], signal, now: Date.now, warn: () => undefined },
  )
  let fails = false
  const during: string[][] = []
  const inner: typeof machine.backend = {
    ...machine.backend,
    sync: async (request, aborted) => {
      during.push([...open])
      if (fails) throw new Error('restore failed')
      return machine.backend.sync(request, aborted)
    },
  }
  const backend = ports.around(inner, { families: ['IPv4'], addresses: () => ['127.0.0.1', '192.168.55.10'] })
  const sync = (state: State) => backend.sync({ state, changed: 'all', fromSeq: NO_SEQ, toSeq: NO_SEQ }, signal)
  return {
    ...ports,
    sync: (...described: readonly PortDescription[]) => sync(stateOf({ node: {}, ports: described })),
    fail: (next: boolean) => void (fails = next),
    during: () => during,
    close: () => backend.close(),
    unheld: () => ports.unheldExternalIPs().map(portText),
  }
}

describe('an agent that holds ports', () => {
  it('opens them before the rules are written, and releases them after', async () => {
    const held = await holding()
    await held.sync(WEB, API)
    await held.sync(API)
    await held.close()
    expect(held.during()).toEqual([
      ['TCP *:30080', 'TCP 192.168.55.10:80'],
      ['TCP *:30080', 'TCP 192.168.55.10:80'],
    ])
    expect(reports.map(({ held: ports }) => ports.length)).toEqual([2, 1])
    expect(open).toEqual([])
  })

  it('has them as they were after a sync that fails', async () => {
    const held = await holding()
    await held.sync(WEB)
    held.fail(true)
    await expect(held.sync(API)).rejects.toThrow('restore failed')
    expect(held.during().at(-1)).toEqual(['TCP *:30080', 'TCP 192.168.55.10:80'])
    expect(open).toEqual(['TCP *:30080'])
    held.fail(false)
    await held.sync(API)
    expect(open).toEqual(['TCP 192.168.55.10:80'])
  })

  it('leaves out rules of an external IP whose port is taken, and of no node port, until it is free', async () => {
    taken.set('TCP 192.168.55.10:80', 'EADDRINUSE').set('TCP *:30080', 'EADDRINUSE')
    const held = await holding()
    await held.sync(WEB, API)
    expect(held.unheld()).toEqual(['external IP 192.168.55.10:80/TCP of shop/api:http'])
    expect(await held.retry()).toBe(false)
    taken.delete('TCP *:30080')
    expect(await held.retry()).toBe(false)
    taken.clear()
    expect(await held.retry()).toBe(true)
    expect(held.unheld()).toEqual([])
    expect(reports.map(({ failed, begun, ended }) => [failed.length, begun.length, ended.length])).toEqual([
      [2, 2, 0],
      [1, 0, 1],
      [0, 0, 1],
    ])
  })

  it('leaves out nothing in layout current, nor where no other process has the port', async () => {
    taken.set('TCP 192.168.55.10:80', 'EADDRINUSE')
    const current = await holding('current')
    await current.sync(API)
    expect(current.unheld()).toEqual([])
    taken.set('TCP 192.168.55.10:80', 'EACCES')
    const classic = await holding()
    await classic.sync(API)
    expect(classic.unheld()).toEqual([])
    expect(reports.at(-1)?.failed).toMatchObject([{ isServed: true, error: { code: 'EACCES' } }])
  })

  it('says once what it cannot hold, and that it can again', async () => {
    taken.set('TCP 192.168.55.10:80', 'EADDRINUSE')
    const held = await holding()
    const linesOf = createAgentLines()
    const said = (): readonly string[] =>
      reports
        .splice(0)
        .flatMap((report) => linesOf({ type: 'ports', report }))
        .flatMap(({ message, verbosity }) => (verbosity === 0 ? [message] : []))
    await held.sync(API)
    await held.sync(API, WEB)
    const [first] = reports
    expect(first && portNotices(first)).toMatchObject([
      { code: 'PORT_TAKEN', details: { address: '192.168.55.10', port: 80, portType: 'externalIP' } },
    ])
    expect(said()).toEqual([
      'cannot hold external IP 192.168.55.10:80/TCP of shop/api:http open: another process listens there (EADDRINUSE); its rules are left out, as kube-proxy 1.20 leaves them out, until it can be held',
    ])
    taken.clear()
    await held.sync(API, WEB)
    expect(said()).toEqual(['holding external IP 192.168.55.10:80/TCP of shop/api:http open now'])
  })

  it('holds no more than its share of file descriptors', async () => {
    const held = await holding('classic', 1)
    await held.sync(WEB, API)
    expect(open).toEqual(['TCP *:30080'])
    expect(reports.at(-1)?.failed.map(({ error }) => error.message)).toEqual([
      '1 ports are held open, the maximum for this limit of open files: raise RLIMIT_NOFILE (ulimit -n)',
    ])
  })
})
