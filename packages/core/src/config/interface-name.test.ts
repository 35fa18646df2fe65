import { describe, expect, it } from 'vitest'
import { isInterfaceName } from './read-proxy-config.js'

describe('the name of a network interface', () => {
  it.each(['eth0', 'cbr0', 'cali', 'br-1a2b3c', 'vlan.100', 'fifteen-letters', 'köln0', 'veth+'])('%s', (name) => {
    expect(isInterfaceName(name)).toBe(true)
  })

  it.each(['', 'two words', 'tab\t', 'say"', '-i', '!eth0', 'sixteen-letters-', 'öööööööö', 'nul\0'])(
    'not %j',
    (name) => {
      expect(isInterfaceName(name)).toBe(false)
    },
  )
})
