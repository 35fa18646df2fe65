import { describe, expect, test } from 'vitest'
import { ConntrackError, groupOf } from '../../conntrack/stale-flows.js'
import { describeFlowTable } from '../../conntrack/test-support/conntrack-contract.js'
import { fakeConntrack } from '../../conntrack/test-support/fake-conntrack.js'
import { flowOf } from '../../conntrack/test-support/flow-text.js'
import { conntrackCommands, type ConntrackRunResult } from './conntrack-commands.js'

/** What a runner fails with that could not start a process, or ended it. */
class RunFailure extends Error {
  readonly code: string
  readonly argv: readonly string[]

  constructor(code: string, { argv }: { readonly argv: readonly string[] }) {
    super(code)
    this.code = code
    this.argv = argv
  }
}

describe('the fake', () => {
  describeFlowTable(() => {
    const fake = fakeConntrack()
    return {
      table: conntrackCommands({ run: fake.run }),
      add: async (...flows) => fake.add(...flows),
      end: () => undefined,
    }
  })
})

const LISTED = flowOf('10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:5353 zone 5')
const GROUP = { ...groupOf(LISTED), flows: [LISTED] }

test('a deletion names everything that makes the group, behind the words that lead into a namespace', async () => {
  const argv: string[] = []
  const commands = conntrackCommands({
    prefix: ['ip', 'netns', 'exec', 'blue'],
    executable: '/usr/sbin/conntrack',
    run: (request) => {
      argv.push(...request.argv)
      return fakeConntrack().run(request)
    },
  })
  await commands.deleteFlows(GROUP)
  expect(argv.join(' ')).toBe(
    'ip netns exec blue /usr/sbin/conntrack -D -f ipv4 -p udp -w 5 ' +
      '--orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.244.1.5 --reply-port-src 5353',
  )
})

describe('a failure has a code, and says what to do', () => {
  const said = (stderr: string, exitCode: number | null = 1): Partial<ConntrackRunResult> => ({ exitCode, stderr })
  const argv = ['conntrack']

  test.each([
    ['NOT_FOUND', new RunFailure('NOT_FOUND', { argv }), 'install it'],
    ['NOT_FOUND', said('exec of "conntrack" failed: No such file or directory\n'), 'install it'],
    [
      'NO_PERMISSION',
      said('conntrack v1.4.7 (conntrack-tools): Operation failed: sorry, you must be root or get CAP_NET_ADMIN\n'),
      'CAP_NET_ADMIN',
    ],
    [
      'NO_KERNEL_SUPPORT',
      said("conntrack v1.4.7 (conntrack-tools): Can't open handler\n"),
      'load the module nf_conntrack_netlink',
    ],
    ['TIMED_OUT', new RunFailure('TIMED_OUT', { argv }), 'timeoutMs'],
    ['ABORTED', new RunFailure('ABORTED', { argv }), 'the caller'],
    ['FAILED', new RunFailure('CANNOT_START', { argv }), 'conntrack failed'],
    ['FAILED', said('conntrack v1.4.7 (conntrack-tools): Operation failed: No buffer space\n'), 'No buffer space'],
    ['FAILED', said('', null), 'conntrack failed'],
  ])('%s', async (code, outcome, words) => {
    const fake = fakeConntrack()
    fake.intercept = () => (outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome))
    const commands = conntrackCommands({ run: fake.run })
    for (const attempt of [
      commands.listFlows({ family: 'IPv4', protocol: 'udp' }, () => undefined),
      commands.deleteFlows(GROUP),
    ]) {
      const error: unknown = await attempt.catch((failure: unknown) => failure)
      expect(error).toBeInstanceOf(ConntrackError)
      expect(error).toMatchObject({ code, message: expect.stringContaining(words) as unknown })
    }
  })

  test('what fails for no reason of conntrack’s is a bug, and stays what it is', async () => {
    const fake = fakeConntrack()
    fake.intercept = () => Promise.reject(new TypeError('a bug'))
    await expect(conntrackCommands({ run: fake.run }).deleteFlows(GROUP)).rejects.toThrow(TypeError)
  })
})
