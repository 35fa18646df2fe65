import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A process in a network namespace that answers there, and sends what it is told to. */
export interface Host {
  readonly name: string
  /** Answers on these sockets from now on. */
  listen(sockets: readonly ListeningSocket[]): Promise<void>
  /** Sends so many first packets of connections at the same time, and tells what became of each. */
  send(packet: SentPacket & { readonly protocol: 'tcp' | 'udp' }, times: number): Promise<readonly Outcome[]>
  /** Dials these TCP targets all the time, whatever this process does, until `hangUp`. */
  dial(targets: readonly DialedTarget[], pace: DialingPace): Promise<void>
  /** Dials each once more, and gives what became of the dials of each target, in their order. */
  hangUp(): Promise<readonly DialTally[]>
  /** Opens so many connections, to something that says back what it hears, and keeps them open. */
  hold(target: DialedTarget, times: number): Promise<void>
  /** Says something on each connection that it holds: of each, whether it was said back in time. */
  speak(timeoutMs: number): Promise<readonly boolean[]>
  letGo(): Promise<void>
  close(): Promise<void>
}

export interface ListeningSocket {
  /** `echo` is TCP as well, and says back what it hears. */
  readonly protocol: 'tcp' | 'udp' | 'echo'
  readonly address: string
  readonly port: number
}

export interface DialedTarget {
  readonly from: string
  readonly to: string
  readonly port: number
}

export interface DialingPace {
  /** How long a dial waits for an answer. */
  readonly timeoutMs: number
  /** Between the last answer of a round, in which each target is dialed once, and the next round. */
  readonly pauseMs: number
}

/**
 * By what became of it, how many dials of one target: `10.244.1.5:8080` (a pod's socket), `internet` or `node`, `refused`,
 * `no-answer`, else the kernel's word for the failure. Of each, in which rounds it was seen first and last.
 */
export interface DialTally {
  readonly [outcome: string]: { readonly count: number; readonly first: number; readonly last: number }
}

export interface SentPacket {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Default: the kernel's choice. */
  readonly from?: string | undefined
  readonly to: string
  readonly port: number
  /** How long the sender waits for an answer. */
  readonly timeoutMs: number
}

/** What the sender of a packet is told, or is not. */
export type Outcome =
  | {
      readonly type: 'answer'
      /** The host that answered, and the address and port on which it was asked. */
      readonly host: string
      readonly at: string
      readonly port: number
      /** The source address that it saw. */
      readonly peer: string
      /** The source address that the sender used. */
      readonly sender: string
    }
  | { readonly type: 'refused' }
  | { readonly type: 'no-answer' }
  /** Anything else, by the kernel's word: a mistake in the network of the test. */
  | { readonly type: 'failed'; readonly code: string }

export function startHost(name: string, namespace: string): Host {
  const argv = ['netns', 'exec', namespace, process.execPath, SCRIPT, name]
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      for (const { reject } of waiting.values()) reject(new Error(`the host ${name} has ended`))
      resolve()
    })
  })
  let count = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, result, error } = JSON.parse(line) as { id: number; result: unknown; error?: string }
    if (error === undefined) waiting.get(id)?.resolve(result)
    else waiting.get(id)?.reject(new Error(`${name}: ${error}`))
    waiting.delete(id)
  })
  const ask = (request: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++count
      waiting.set(id, { resolve, reject })
      child.stdin.write(`${JSON.stringify({ id, request })}\n`)
    })
  return {
    name,
    listen: async (sockets) => void (await ask({ type: 'listen', sockets })),
    send: async (packet, times) => (await ask({ type: 'send', packet, times })) as readonly Outcome[],
    dial: async (targets, pace) => void (await ask({ type: 'dial', targets, ...pace })),
    hangUp: async () => (await ask({ type: 'hang-up' })) as readonly DialTally[],
    hold: async (packet, times) => void (await ask({ type: 'hold', packet, times })),
    speak: async (timeoutMs) => (await ask({ type: 'speak', timeoutMs })) as readonly boolean[],
    letGo: async () => void (await ask({ type: 'let-go' })),
    close: () => {
      child.stdin.end()
      return ended
    },
  }
}

const SCRIPT = fileURLToPath(new URL('host.mjs', import.meta.url))
