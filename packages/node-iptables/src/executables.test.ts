import { describe, expect, it } from 'vitest'
import { createIptables } from './create-iptables.js'
import { executablesOf, type Family } from './detect-variant.js'

describe('the executables', () => {
  it.each([
    ['IPv4', 'auto', undefined, 'iptables-save'],
    ['IPv6', 'auto', undefined, 'ip6tables-save'],
    ['IPv4', 'nft', undefined, 'iptables-nft-save'],
    ['IPv6', 'legacy', '/opt/sbin', '/opt/sbin/ip6tables-legacy-save'],
  ] as const)('of %s, %s, in %s are called like %s', (family, variant, folder, save) => {
    expect(executablesOf({ family, variant, folder })).toMatchObject({ save })
  })

  it('of a family that there is not are not those of the other', async () => {
    const started: unknown[] = []
    const made = createIptables({
      family: 'ipv4' as Family,
      run: ({ argv }) => {
        started.push(argv)
        return Promise.resolve({ argv, exitCode: 0, signal: null, stdout: 'iptables v1.8.9 (legacy)', stderr: '' })
      },
    })
    await expect(made).rejects.toThrow('family: ipv4: give IPv4 or IPv6')
    expect(started).toEqual([])
  })
})
