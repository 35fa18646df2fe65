import { createServer } from 'node:net'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type MessageBus, standInForFirewalld, startMessageBus } from '../test-support/message-bus.js'
import { BusError, decodeMessage, encodeMessage } from './system-bus.js'
import { watchFirewalld } from './watch-firewalld.js'

/** What a watch said, in order: `listening` with whether firewalld runs, reloads, and codes of errors. */
let said: string[]
let end: AbortController
let watch: Promise<void>
let buses: MessageBus[]
beforeEach(() => {
  said = []
  buses = []
  end = new AbortController()
})
afterEach(async () => {
  end.abort()
  await watch
  await Promise.all(buses.map((bus) => bus.stop()))
})

const start = async (folder?: string): ReturnType<typeof startMessageBus> => {
  const bus = await startMessageBus(folder)
  buses.push(bus)
  return bus
}

const begin = (address: string): void => {
  watch = watchFirewalld({
    address,
    signal: end.signal,
    onReload: (reload) => void said.push(reload),
    onListening: ({ isRunning }) => void said.push(isRunning ? 'listening, it runs' : 'listening'),
    onError: (error) => void said.push(error instanceof BusError ? error.code : String(error)),
    retry: { minMs: 20, maxMs: 100 },
  })
}

const expectSaid = (...words: readonly string[]): Promise<unknown> =>
  vi.waitFor(() => expect(said).toEqual(words), { timeout: 10_000, interval: 10 })

describe('a watch of firewalld', () => {
  it('hears that it starts, reloads, ends and starts again', async () => {
    const { address } = await start()
    begin(address)
    await expectSaid('listening')
    const first = await standInForFirewalld(address)
    await expectSaid('listening', 'started')
    first.reload()
    first.reload()
    await expectSaid('listening', 'started', 'reloaded', 'reloaded')
    first.stop()
    const second = await standInForFirewalld(address)
    await expectSaid('listening', 'started', 'reloaded', 'reloaded', 'started')
    second.stop()
  })

  it('does not take one that runs for one that has started', async () => {
    const { address } = await start()
    const firewalld = await standInForFirewalld(address)
    begin(address)
    await expectSaid('listening, it runs')
    firewalld.reload()
    await expectSaid('listening, it runs', 'reloaded')
    firewalld.stop()
  })

  it('believes nobody else', async () => {
    const { address } = await start()
    begin(address)
    await expectSaid('listening')
    const other = await standInForFirewalld(address, 'org.example.Other')
    other.reload()
    const firewalld = await standInForFirewalld(address)
    await expectSaid('listening', 'started')
    other.reload()
    firewalld.reload()
    await expectSaid('listening', 'started', 'reloaded')
    for (const one of [other, firewalld]) one.stop()
  })

  it('waits for a bus without a word, and for the next one when it goes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bus-'))
    begin(`unix:path=${folder}/bus`)
    const bus = await start(folder)
    await expectSaid('listening')
    await standInForFirewalld(bus.address)
    await expectSaid('listening', 'started')
    await bus.stop()
    const next = await start(folder)
    await expectSaid('listening', 'started', 'listening')
    const firewalld = await standInForFirewalld(next.address)
    await expectSaid('listening', 'started', 'listening', 'started')
    firewalld.stop()
  })

  it('counts a name that changed hands unheard as a start', async () => {
    const bus = await start()
    // Takes the first unique names, so that the next owner has another.
    const spare = await standInForFirewalld(bus.address, 'org.example.Spare')
    const first = await standInForFirewalld(bus.address)
    begin(bus.address)
    await expectSaid('listening, it runs')
    for (const one of [spare, first]) one.stop()
    await bus.stop()
    const next = await start(bus.folder)
    const again = await standInForFirewalld(next.address)
    // Whether the watch is there before the name or after it.
    await vi.waitFor(() => expect(said.filter((word) => word === 'started')).toHaveLength(1), { timeout: 10_000 })
    again.stop()
  })

  it('says once that it is not let in, or is given no address of a socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bus-'))
    let times = 0
    const server = createServer((socket) => {
      times++
      socket.on('error', () => undefined).on('data', () => void socket.end('REJECTED ANONYMOUS\r\n'))
    }).listen(`${folder}/bus`)
    begin(`unix:path=${folder}/bus`)
    await vi.waitFor(() => expect(times).toBeGreaterThan(3), { timeout: 10_000 })
    expect(said).toEqual(['REFUSED'])
    end.abort()
    await watch
    server.close()

    said = []
    end = new AbortController()
    begin('tcp:host=localhost,port=1')
    await expectSaid('UNSUPPORTED_ADDRESS')
  })

  it('survives what is no message', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bus-'))
    const garbage = [
      Buffer.alloc(4000, 'x'),
      Buffer.from([108, 4, 1, 1, 255, 255, 255, 127, 1, 0, 0, 0, 255, 255, 255, 127]),
    ]
    let times = 0
    const server = createServer((socket) => {
      socket
        .on('error', () => undefined)
        .once('data', () => {
          socket.write('OK 1234\r\n')
          socket.once('data', () => void socket.write(garbage[times++ % garbage.length] ?? ''))
        })
    }).listen(`${folder}/bus`)
    begin(`unix:path=${folder}/bus`)
    await vi.waitFor(() => expect(times).toBeGreaterThan(3), { timeout: 10_000 })
    expect(said).toEqual([])
    end.abort()
    await watch
    server.close()
  })

  it('fails with what a callback throws', async () => {
    const { address } = await start()
    const failing = watchFirewalld({
      address,
      signal: end.signal,
      onReload: () => {
        throw new Error('of the caller')
      },
      onListening: () => void said.push('listening'),
    })
    watch = failing.catch(() => undefined)
    await expectSaid('listening')
    const firewalld = await standInForFirewalld(address)
    await expect(failing).rejects.toThrow('of the caller')
    firewalld.stop()
  })
})

describe('messages', () => {
  it('are read as they were written', () => {
    const signal = { type: 'signal', serial: 7, path: '/a/b', interface: 'org.example.A', member: 'Changed' } as const
    for (const args of [[], ['x'], ['', 'ä', 'three']])
      expect(decodeMessage(encodeMessage({ ...signal, args }))).toMatchObject({
        type: 'signal',
        path: '/a/b',
        interface: 'org.example.A',
        member: 'Changed',
        args,
      })
  })

  it('that are cut or changed anywhere give an error at most', () => {
    const whole = encodeMessage({
      type: 'signal',
      serial: 1,
      path: '/',
      interface: 'a.b',
      member: 'M',
      args: ['one', 'two'],
    })
    for (let at = 0; at < whole.length; at++) {
      for (const bytes of [whole.subarray(0, at), Buffer.from(whole).fill(0xff, at, at + 1)]) {
        try {
          decodeMessage(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }
    }
  })
})
