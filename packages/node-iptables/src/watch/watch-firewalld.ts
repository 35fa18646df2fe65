import { setTimeout as pause } from 'node:timers/promises'
import { type Bus, BusError, type BusSignal, connectBus, systemBusAddress } from './system-bus.js'

/** Why rules may be gone: firewalld has started, or it was reloaded. Either way it may have flushed the tables of iptables. */
export type FirewalldReload = 'started' | 'reloaded'

export interface FirewalldWatchOptions {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** Called each time. What it throws ends the watch, and is what it fails with. */
  readonly onReload: (reload: FirewalldReload) => void
  /** The bus is there and cannot be used: a BusError. Once for each cause; the watch goes on. That there is none is no error. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** The watch hears firewalld from now on. `isRunning`: its name has an owner. */
  readonly onListening?: ((status: { readonly isRunning: boolean }) => void) | undefined
  /** The address of the message bus. Default: that of the system's. */
  readonly address?: string | undefined
  /** How long to wait before the next attempt to connect, doubled each time. Default: 1,000 to 60,000. */
  readonly retry?: { readonly minMs: number; readonly maxMs: number } | undefined
}

/**
 * Calls back when firewalld starts or reloads, as it says on the system's message bus: `iptables -F` of its direct rules and of its
 * iptables backend reports nothing else. Without a bus, or without firewalld, it waits for one, and says nothing. Settles when the signal
 * aborts. A name of firewalld that changed hands while the bus could not be heard counts as a start.
 */
export async function watchFirewalld(options: FirewalldWatchOptions): Promise<void> {
  const { signal, onError = () => undefined, retry = { minMs: 1000, maxMs: 60_000 } } = options
  const address = options.address ?? systemBusAddress()
  const said = new Set<string>()
  /** The connection that has firewalld's name; empty: none. Undefined: not known yet. */
  let owner: string | undefined
  let failed: { readonly error: unknown } | undefined
  let bus: Bus | undefined
  const end = (): void => bus?.close()
  const reload = (what: FirewalldReload): void => {
    try {
      options.onReload(what)
    } catch (error) {
      failed ??= { error }
      end()
    }
  }
  const hear = ({ sender, interface: of, member, args: [name, , next = ''] }: BusSignal): void => {
    if (sender === BUS_NAME && of === BUS_NAME && member === 'NameOwnerChanged' && name === FIREWALLD) {
      owner = next
      if (next !== '') reload('started')
    }
    // Anybody may send a signal of this name to us.
    if (sender === owner && of === FIREWALLD && member === 'Reloaded') reload('reloaded')
  }

  const isOver = (): boolean => signal.aborted
  let delayMs = retry.minMs
  while (!isOver()) {
    try {
      bus = await connectBus(address, hear)
      signal.addEventListener('abort', end, { once: true })
      if (isOver()) return
      for (const rule of MATCH_RULES) await bus.call('AddMatch', rule)
      const before = owner
      owner = await ownerOf(bus)
      if (before !== undefined && owner !== '' && owner !== before) reload('started')
      options.onListening?.({ isRunning: owner !== '' })
      delayMs = retry.minMs
      await bus.lost
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      const isNews = error.code !== 'NO_BUS' && error.code !== 'LOST' && !said.has(error.message)
      if (isNews && !isOver()) onError(error)
      said.add(error.message)
    } finally {
      signal.removeEventListener('abort', end)
      end()
    }
    if (failed !== undefined) break
    await pause(delayMs, undefined, { signal, ref: false }).catch(() => undefined)
    delayMs = Math.min(delayMs * 2, retry.maxMs)
  }
  if (failed !== undefined) throw failed.error
}

const BUS_NAME = 'org.freedesktop.DBus'
const FIREWALLD = 'org.fedoraproject.FirewallD1'

const MATCH_RULES = [
  `type='signal',sender='${BUS_NAME}',interface='${BUS_NAME}',member='NameOwnerChanged',arg0='${FIREWALLD}'`,
  `type='signal',sender='${FIREWALLD}',interface='${FIREWALLD}',member='Reloaded'`,
]

/** Empty: nobody has the name. */
async function ownerOf(bus: Bus): Promise<string> {
  try {
    return (await bus.call('GetNameOwner', FIREWALLD))[0] ?? ''
  } catch (error) {
    if (error instanceof BusError && error.code === 'REFUSED') return ''
    throw error
  }
}
