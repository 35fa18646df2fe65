import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectBus } from '../watch/system-bus.js'

/** A dbus-daemon of the test's own. */
export interface MessageBus {
  /** `unix:path=...`. */
  readonly address: string
  readonly stop: () => Promise<void>
}

/** Starts Debian's dbus-daemon where everybody may do everything. Again at the same place: give the place that the first one had. */
export async function startMessageBus(
  folder = mkdtempSync(join(tmpdir(), 'bus-')),
): Promise<MessageBus & { folder: string }> {
  const address = `unix:path=${folder}/bus`
  writeFileSync(`${folder}/bus.conf`, CONFIGURATION.replace('ADDRESS', address))
  rmSync(`${folder}/bus`, { force: true })
  const daemon = spawn('dbus-daemon', [`--config-file=${folder}/bus.conf`, '--nofork', '--print-address'], {
    // It warns that it may not raise the limit of open files.
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(daemon, 'close')
  await Promise.race([
    once(daemon.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('dbus-daemon did not start: install dbus'))),
  ])
  return {
    address,
    folder,
    stop: async () => {
      daemon.kill('SIGKILL')
      await ended
      rmSync(`${folder}/bus`, { force: true })
    },
  }
}

const CONFIGURATION = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow send_type="signal"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
`

/** Something that has firewalld's name, and says what firewalld says. */
export interface FirewalldStandIn {
  /** Says that it was reloaded. */
  readonly reload: () => void
  readonly stop: () => void
}

/** `name`: another than firewalld's, for what is not to be believed. */
export async function standInForFirewalld(
  address: string,
  name = 'org.fedoraproject.FirewallD1',
): Promise<FirewalldStandIn> {
  const bus = await connectBus(address, () => undefined)
  // Not queued, and nobody may take it away.
  await bus.call('RequestName', name, 4)
  return {
    reload: () =>
      bus.emit({
        path: '/org/fedoraproject/FirewallD1',
        interface: 'org.fedoraproject.FirewallD1',
        member: 'Reloaded',
      }),
    stop: bus.close,
  }
}
