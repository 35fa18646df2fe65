import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const GOLDEN = fileURLToPath(new URL('../../fixtures/golden/kube-proxy-1.36/cluster-ip', import.meta.url))
const OBJECTS = `${GOLDEN}/objects.json`
const CONFIG = ['--config', `${GOLDEN}/config.json`]

const DROP = '-net_admin,-net_raw'
/** The command without the capabilities that tables take, whoever runs the tests. */
const unprivileged = (...args: readonly string[]): Promise<Ended> =>
  runPointsman(args, {
    prefix: process.getuid?.() === 0 ? ['setpriv', `--bounding-set=${DROP}`, `--inh-caps=${DROP}`] : [],
  })

describe('without privileges', () => {
  test.each([
    ['apply', [OBJECTS, ...CONFIG]],
    ['apply --dry-run', [OBJECTS, ...CONFIG, '--dry-run']],
    ['apply on legacy', [OBJECTS, ...CONFIG, '--iptables-variant', 'legacy']],
    ['cleanup', []],
    ['cleanup --dry-run', ['--dry-run', '-o', 'json']],
    ['cleanup on legacy', ['--iptables-variant', 'legacy']],
  ])('%s ends with status 3 and one line that names the capabilities', async (name, args) => {
    const { status, stdout, stderr } = await unprivileged(name.split(' ')[0] ?? '', ...args)
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
    expect(stderr).toMatch(/^error: .*CAP_NET_ADMIN \(and CAP_NET_RAW for iptables-legacy\).*\n$/)
  })

  test('replay into the kernel does as well, and to the mock it works', async () => {
    const folder = temporaryFolder()
    try {
      const log = folder.path('shop.db')
      await runPointsman(['import', SHOP_RECORDING, '--log', log])
      const settings = ['--cluster-cidr', '10.244.0.0/16']
      const { status, stdout, stderr } = await unprivileged('replay', log, '--backend', 'iptables', ...settings)
      expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
      expect(stderr).toMatch(/^error: .*CAP_NET_ADMIN.*\n$/)
      expect(await unprivileged('replay', log, ...settings)).toMatchObject({ status: 0, stderr: '' })
    } finally {
      folder.remove()
    }
  })

  test('render works', async () => {
    expect(await unprivileged('render', '--objects', OBJECTS, ...CONFIG)).toMatchObject({ status: 0 })
  })

  test.each([
    [[], /^error: no objects given: give FILES, or - for the output of `kubectl get .*\n$/],
    [['nowhere.yaml'], /^error: nowhere\.yaml: no such file: check the path\n$/],
    [[OBJECTS, '--config', 'nowhere.yaml'], /^error: nowhere\.yaml: no such file: check the path\n$/],
    [[OBJECTS, ...CONFIG, '--node', 'node-z'], /^error: --node node-z is not in the input, which has node-a.*\n$/],
    [[OBJECTS, '--iptables-variant', 'xtables'], /^error: .* Allowed choices are auto, nft, legacy; .*\n$/],
  ])('apply %j is bad input before anything else', async (args, message) => {
    const { status, stdout, stderr } = await unprivileged('apply', ...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })
})
