import { expect, test } from 'vitest'
import { ConntrackError, groupOf, type Flow } from '../../conntrack/stale-flows.js'
import { fakeConntrack } from '../../conntrack/test-support/fake-conntrack.js'
import { flowOf } from '../../conntrack/test-support/flow-text.js'
import { conntrackCommands } from './conntrack-commands.js'
import { conntrackNetlink, type NetlinkConntrack } from './conntrack-netlink.js'

const FLOW = flowOf('10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53')
const GROUP = { ...groupOf(FLOW), flows: [FLOW] }

class NetlinkFailure extends Error {
  readonly operation = 'list of flows'
  readonly code: string

  constructor(code: string) {
    super(`list of flows: ${code}`)
    this.code = code
  }
}

function failing(error: Error): NetlinkConntrack {
  const fail = async (): Promise<never> => {
    throw error
  }
  return { listFlows: fail, deleteFlows: fail }
}

test.each(['CANNOT_LOAD', 'NO_PERMISSION', 'NO_KERNEL_SUPPORT'])(
  'where netlink fails with %s, the command is run',
  async (code) => {
    const { run, commands } = fakeConntrack('10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53')
    const table = conntrackNetlink({
      netlink: failing(new NetlinkFailure(code)),
      otherwise: conntrackCommands({ run }),
    })
    const flows: Flow[] = []
    await table.listFlows({ family: 'IPv4', protocol: 'udp' }, (flow) => flows.push(flow))
    expect(flows).toEqual([FLOW])
    expect(await table.deleteFlows(GROUP)).toBe(1)
    expect(commands).toHaveLength(2)
  },
)

test.each([
  ['TIMED_OUT', 'TIMED_OUT'],
  ['ABORTED', 'ABORTED'],
  ['FAILED', 'FAILED'],
])('%s is told as %s, with its cause', async (code, told) => {
  const { run, commands } = fakeConntrack()
  const cause = new NetlinkFailure(code)
  const table = conntrackNetlink({ netlink: failing(cause), otherwise: conntrackCommands({ run }) })
  const error: unknown = await table.deleteFlows(GROUP).catch((failure: unknown) => failure)
  expect(error).toBeInstanceOf(ConntrackError)
  expect(error).toMatchObject({ code: told, cause })
  expect(commands).toEqual([])
})

test('what is no failure of netlink is a bug, and stays what it is', async () => {
  const table = conntrackNetlink({
    netlink: failing(new TypeError('a bug')),
    otherwise: conntrackCommands({ run: fakeConntrack().run }),
  })
  await expect(table.deleteFlows(GROUP)).rejects.toThrow(TypeError)
})
