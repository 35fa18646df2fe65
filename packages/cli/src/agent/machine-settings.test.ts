import { type AgentConfig, DEFAULT_AGENT_CONFIG } from '@pointsman/core'
import { describe, expect, test } from 'vitest'
import { applyMachineSettings, conntrackMax, type MachineFiles } from './machine-settings.js'

const NETFILTER = '/proc/sys/net/netfilter'
const HASHSIZE = '/sys/module/nf_conntrack/parameters/hashsize'

/** A machine with four CPUs, as Linux leaves it. */
const FRESH = {
  '/sys/devices/system/cpu/online': '0-3\n',
  [`${NETFILTER}/nf_conntrack_max`]: '65536\n',
  [HASHSIZE]: '16384\n',
  [`${NETFILTER}/nf_conntrack_tcp_timeout_established`]: '432000\n',
  [`${NETFILTER}/nf_conntrack_tcp_timeout_close_wait`]: '60\n',
  [`${NETFILTER}/nf_conntrack_tcp_be_liberal`]: '0\n',
  [`${NETFILTER}/nf_conntrack_udp_timeout`]: '30\n',
  [`${NETFILTER}/nf_conntrack_udp_timeout_stream`]: '120\n',
  '/proc/self/oom_score_adj': '0\n',
}

/** Files in memory; `refused` are those that answer a write with an error of this code. */
function machine(files: Readonly<Record<string, string>> = FRESH, refused: Readonly<Record<string, string>> = {}) {
  const contents = new Map(Object.entries(files))
  const written: string[] = []
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code })
  }
  const machineFiles: MachineFiles = {
    readFile: async (path) => contents.get(path) ?? fail('ENOENT'),
    writeFile: async (path, text) => {
      if (refused[path] !== undefined) fail(refused[path])
      written.push(`${path.split('/').at(-1)} ${text}`)
      contents.set(path, text)
    },
    cpus: 2,
  }
  return { files: machineFiles, written }
}

type Conntrack = Partial<AgentConfig['conntrack']>
const config = (conntrack: Conntrack = {}, oomScoreAdj = -999) => ({
  conntrack: { ...DEFAULT_AGENT_CONFIG.conntrack, ...conntrack },
  oomScoreAdj,
})
const NOTHING: Conntrack = { maxPerCore: 0, tcpEstablishedTimeoutMs: 0, tcpCloseWaitTimeoutMs: 0 }

test("sets kube-proxy's defaults, and says from what to what", async () => {
  const { files, written } = machine()
  const { changes, warnings } = await applyMachineSettings(config(), files)
  expect(written).toEqual([
    'nf_conntrack_max 131072',
    'hashsize 32768',
    'nf_conntrack_tcp_timeout_established 86400',
    'nf_conntrack_tcp_timeout_close_wait 3600',
    'oom_score_adj -999',
  ])
  expect(changes[0]).toEqual({ path: `${NETFILTER}/nf_conntrack_max`, from: '65536', to: '131072' })
  expect(warnings).toEqual([])
})

test('writes nothing the second time, so that no privilege is needed after --init-only', async () => {
  const { files, written } = machine()
  await applyMachineSettings(config(), files)
  written.length = 0
  expect(await applyMachineSettings(config(), files)).toEqual({ changes: [], warnings: [] })
  expect(written).toEqual([])
})

test.each<[string, Conntrack, readonly string[]]>([
  ['nothing where all is 0', NOTHING, []],
  ['nf_conntrack_max by the CPUs', { ...NOTHING, maxPerCore: 100_000 }, ['nf_conntrack_max 400000', 'hashsize 100000']],
  [
    'nf_conntrack_max at most a million',
    { ...NOTHING, maxPerCore: 2 ** 20 },
    ['nf_conntrack_max 1048576', 'hashsize 262144'],
  ],
  ['no smaller nf_conntrack_max or hashsize than there is', { ...NOTHING, maxPerCore: 10, min: 20 }, []],
  ['liberal tracking of TCP', { ...NOTHING, tcpBeLiberal: true }, ['nf_conntrack_tcp_be_liberal 1']],
  ['the timeout of UDP', { ...NOTHING, udpTimeoutMs: 10_000 }, ['nf_conntrack_udp_timeout 10']],
  ['the timeout of UDP streams', { ...NOTHING, udpStreamTimeoutMs: 180_000 }, ['nf_conntrack_udp_timeout_stream 180']],
  [
    'the timeout of established TCP',
    { ...NOTHING, tcpEstablishedTimeoutMs: 1000 },
    ['nf_conntrack_tcp_timeout_established 1'],
  ],
  [
    'the timeout of TCP in CLOSE_WAIT',
    { ...NOTHING, tcpCloseWaitTimeoutMs: 1000 },
    ['nf_conntrack_tcp_timeout_close_wait 1'],
  ],
])('sets %s', async (_, conntrack, expected) => {
  const { files, written } = machine()
  await applyMachineSettings(config(conntrack, 0), files)
  expect(written).toEqual(expected)
})

describe('nf_conntrack_max', () => {
  test.each([
    [{ maxPerCore: 32_768, min: 131_072 }, 2, 131_072],
    [{ maxPerCore: 32_768, min: 131_072 }, 8, 262_144],
    [{ maxPerCore: 32_768, min: 131_072 }, 96, 1_048_576],
    [{ maxPerCore: 0, min: 131_072 }, 8, 0],
  ])('of %j on %i CPUs is %i', (conntrack, cpus, max) => expect(conntrackMax(conntrack, cpus)).toBe(max))
})

describe('CPUs', () => {
  test.each([
    ['0-3', 'nf_conntrack_max 400'],
    ['0', 'nf_conntrack_max 100'],
    ['0-1,4,6-7', 'nf_conntrack_max 500'],
    ['nonsense', 'nf_conntrack_max 200'],
  ])('that are online as %s', async (online, expected) => {
    const { files, written } = machine({
      ...FRESH,
      '/sys/devices/system/cpu/online': online,
      [`${NETFILTER}/nf_conntrack_max`]: '1',
    })
    await applyMachineSettings(config({ ...NOTHING, maxPerCore: 100, min: 0 }, 0), files)
    expect(written).toEqual([expected])
  })
})

describe('what cannot be set', () => {
  test('is a warning that says what to do where /sys is read-only', async () => {
    const { files, written } = machine(FRESH, { [HASHSIZE]: 'EROFS' })
    const { warnings } = await applyMachineSettings(config(), files)
    expect(warnings).toEqual([
      `${HASHSIZE} cannot be set to 32768 (EROFS): conntrack lookups are slower with many connections; if /sys is read-only, restart the container runtime or set it on the node`,
    ])
    expect(written).toContain('nf_conntrack_tcp_timeout_established 86400')
  })

  test('is a warning for the score of the process', async () => {
    const { files } = machine(FRESH, { '/proc/self/oom_score_adj': 'EACCES' })
    expect((await applyMachineSettings(config(), files)).warnings).toEqual([
      expect.stringMatching(/oom_score_adj cannot be set to -999 \(EACCES\).*CAP_SYS_RESOURCE/),
    ])
  })

  test('is a warning where conntrack is not loaded yet', async () => {
    const { files } = machine({ '/proc/self/oom_score_adj': '-999' })
    const { warnings } = await applyMachineSettings(config(), files)
    expect(warnings).toHaveLength(4)
    expect(warnings[0]).toMatch(/nf_conntrack_max cannot be set to 131072 \(ENOENT\).*modprobe nf_conntrack/)
  })

  test.each(['nf_conntrack_max', 'nf_conntrack_tcp_timeout_established'])('ends the process for %s', async (name) => {
    const { files } = machine(FRESH, { [`${NETFILTER}/${name}`]: 'EACCES' })
    await expect(applyMachineSettings(config(), files)).rejects.toMatchObject({
      code: 'CANNOT',
      message: expect.stringMatching(new RegExp(`${name} cannot be set to \\d+ \\(EACCES\\).*--init-only`)) as string,
    })
  })
})
