import { constants } from 'node:os'
import { expect, it } from 'vitest'
import { createConntrack, type Conntrack, type TrackedFlow } from './conntrack.js'
import { errorOfErrno } from './netfilter-error.js'
import {
  attributeOf,
  messagesIn,
  nestedOf,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  type NetlinkMessage,
} from './netlink/messages.js'
import type { NetlinkReader, NetlinkSocket } from './netlink/netlink-socket.js'

const FLOW: TrackedFlow = {
  family: 'ipv4',
  protocol: 17,
  zone: 0,
  original: { src: '10.0.1.2', dst: '10.96.0.10', sport: 4000, dport: 53 },
  reply: { src: '10.244.1.5', dst: '10.0.1.2', sport: 5353, dport: 4000 },
}

type Answer = readonly NetlinkMessage[] | 'overrun' | 'nothing'

/** conntrack with sockets that answer each request in turn, and count those that are open. */
function conntrackThat(...answers: readonly ((requests: readonly NetlinkMessage[]) => Answer)[]): {
  readonly conntrack: Conntrack
  readonly sockets: { open: number; asked: number }
} {
  const sockets = { open: 0, asked: 0 }
  const openSocket = (): NetlinkSocket => {
    sockets.open++
    let answer: Answer = 'nothing'
    const give = (reader: NetlinkReader): void => {
      const given = answer
      answer = 'nothing'
      if (given === 'overrun') reader.onOverrun()
      else if (given !== 'nothing') {
        try {
          for (const message of given) reader.onMessage(message)
        } catch (error) {
          reader.onError(error)
        }
      }
    }
    return {
      send: (bytes) => {
        answer = answers[sockets.asked++]?.([...messagesIn(Buffer.from(bytes))]) ?? 'nothing'
      },
      readNow: give,
      read: () => undefined,
      option64: () => undefined,
      close: () => void sockets.open--,
    }
  }
  return { conntrack: createConntrack({ openSocket }), sockets }
}

const errno = (sequence: number, number: number): NetlinkMessage => {
  const payload = Buffer.alloc(20)
  payload.writeInt32LE(-number)
  return { type: NLMSG_ERROR, flags: 0, sequence, payload }
}

const done = (flags = 0): NetlinkMessage => ({
  type: NLMSG_DONE,
  flags: NLM_F_MULTI | flags,
  sequence: 1,
  payload: Buffer.alloc(4),
})

/** The flow as the kernel lists it. */
function listed(flags = 0): NetlinkMessage {
  const tuple = (type: number, { src, dst, sport, dport }: TrackedFlow['original']): Buffer =>
    nestedOf(
      type,
      nestedOf(1, attributeOf(1, bytesOf(src)), attributeOf(2, bytesOf(dst))),
      nestedOf(2, attributeOf(1, Uint8Array.of(17)), attributeOf(2, portOf(sport)), attributeOf(3, portOf(dport))),
    )
  const payload = Buffer.concat([Buffer.from([2, 0, 0, 0]), tuple(1, FLOW.original), tuple(2, FLOW.reply)])
  return { type: 0x01_00, flags: NLM_F_MULTI | flags, sequence: 1, payload }
}

const bytesOf = (address: string): Uint8Array => Uint8Array.from(address.split('.').map(Number))
const portOf = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff)

const UDP = { family: 'ipv4', protocol: 17 } as const

async function list(conntrack: Conntrack, options = {}): Promise<readonly TrackedFlow[]> {
  const flows: TrackedFlow[] = []
  await conntrack.listFlows(UDP, (flow) => flows.push(flow), options)
  return flows
}

it('a listing is read to its end, and what is not asked for is left out', async () => {
  const { conntrack, sockets } = conntrackThat(() => [listed(), { ...listed(), sequence: 7 }, done()])
  expect(await list(conntrack)).toEqual([FLOW])
  const other = conntrackThat(() => [listed(), done()]).conntrack
  await other.listFlows({ ...UDP, original: { dport: 54 } }, () => expect.unreachable())
  expect(sockets.open).toBe(0)
})

it.each([
  ['is disturbed by changes', () => [listed(NLM_F_DUMP_INTR), done()]],
  ['is disturbed at its end', () => [listed(), done(NLM_F_DUMP_INTR)]],
  ['lost answers for want of room', () => 'overrun' as const],
  ['was interrupted', () => [errno(1, constants.errno.EINTR)]],
])('a listing that %s is begun again, three times in all', async (_, disturbed) => {
  const { conntrack } = conntrackThat(disturbed, disturbed, () => [listed(), done()])
  expect((await list(conntrack)).at(-1)).toEqual(FLOW)
  const never = conntrackThat(disturbed, disturbed, disturbed, () => [done()])
  await expect(list(never.conntrack)).rejects.toMatchObject({ code: 'FAILED', errnoName: 'EINTR' })
  expect(never.sockets).toEqual({ open: 0, asked: 3 })
})

it.each([
  ['NO_PERMISSION', constants.errno.EPERM],
  ['NO_KERNEL_SUPPORT', constants.errno.EINVAL],
  ['FAILED', constants.errno.EBUSY],
])('%s, with the errno', async (code, number) => {
  const { conntrack, sockets } = conntrackThat(
    () => [errno(1, number)],
    () => [errno(1, number)],
  )
  await expect(list(conntrack)).rejects.toMatchObject({ code, errno: number })
  await expect(conntrack.deleteFlows([FLOW])).rejects.toMatchObject({ code, errno: number })
  expect(sockets.open).toBe(0)
})

it('a kernel that does not answer is waited for as long as the caller wants', async () => {
  const { conntrack, sockets } = conntrackThat()
  await expect(list(conntrack, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMED_OUT' })
  await expect(conntrack.deleteFlows([FLOW], { timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMED_OUT' })
  const abort = new AbortController()
  const listing = list(conntrack, { signal: abort.signal })
  abort.abort()
  await expect(listing).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(list(conntrack, { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  expect(sockets.open).toBe(0)
})

it('flows are deleted a hundred at a time; those that are gone are not counted, and one that fails holds up no other', async () => {
  const sizes: number[] = []
  const answer =
    (refuse?: number) =>
    (requests: readonly NetlinkMessage[]): Answer => {
      sizes.push(requests.length)
      return requests.map(({ sequence }) =>
        errno(sequence, sequence === refuse ? constants.errno.EBUSY : sequence % 2 === 0 ? constants.errno.ENOENT : 0),
      )
    }
  const flows = Array.from({ length: 250 }, () => FLOW)
  expect(await conntrackThat(answer(), answer(), answer()).conntrack.deleteFlows(flows)).toBe(125)
  expect(sizes).toEqual([100, 100, 50])
  await expect(conntrackThat(answer(3)).conntrack.deleteFlows([FLOW, FLOW, FLOW, FLOW])).rejects.toMatchObject({
    errnoName: 'EBUSY',
  })
  expect(sizes.at(-1)).toBe(4)
  expect(await conntrackThat().conntrack.deleteFlows([])).toBe(0)
  expect(errorOfErrno('x', constants.errno.EBUSY).code).toBe('FAILED')
})
