import { networkInterfaces } from 'node:os'
import { IptablesError, type Run } from 'node-iptables'
import { expect, test } from 'vitest'
import { interfaceAddresses } from './open-machine.js'

const printing =
  (stdout: string, exitCode = 0): Run =>
  ({ argv }) =>
    Promise.resolve({ argv, exitCode, signal: null, stdout, stderr: '' })

const missing: Run = ({ argv }) => Promise.reject(new IptablesError('NOT_FOUND', { argv }))

test('are those of ip(8), whatever the interface is like', async () => {
  const shown = [
    { ifname: 'lo', addr_info: [{ local: '127.0.0.1' }, { local: '::1' }] },
    { ifname: 'eth0', operstate: 'DOWN', addr_info: [{ local: '192.0.2.1' }] },
    { ifname: 'eth1', addr_info: [] },
    {},
  ]
  expect(await interfaceAddresses(printing(JSON.stringify(shown)))).toEqual(['127.0.0.1', '::1', '192.0.2.1'])
})

test.each([
  ['there is no ip(8)', missing],
  ['it knows no -json', printing('', 1)],
  ['it prints something else', printing('1: lo: <LOOPBACK,UP>')],
])('are those that Node sees where %s', async (_, run) => {
  const seen = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
  expect(await interfaceAddresses(run)).toEqual(seen)
})
