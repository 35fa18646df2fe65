import { expect, it } from 'vitest'
import { isRuleInSave } from './rules/saved-tables.js'

const save = `*nat
-A OUTPUT -d 10.0.0.1/32 -p tcp -m comment --comment "a \\"b\\" c" -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:80
-A POST -j MARK --set-xmark 0x4000/0x0
-A OTHER -s 10.0.0.9/32 -j ACCEPT
COMMIT`

it.each([
  ['the same words', 'OTHER', ['-s', '10.0.0.9/32', '-j', 'ACCEPT'], true],
  ['no mask', 'OTHER', ['-s', '10.0.0.9', '-j', 'ACCEPT'], true],
  ['long names in another order', 'OTHER', ['--jump', 'ACCEPT', '--source', '10.0.0.9'], true],
  [
    'quotes, and a match that the protocol implies',
    'OUTPUT',
    ['-m', 'comment', '--comment', 'a "b" c', '-p', 'tcp', '-d', '10.0.0.1', '--dport', '80', '-j', 'DNAT'].concat(
      '--to-destination',
      '10.0.0.2:80',
    ),
    true,
  ],
  ['zeros in marks', 'POST', ['-j', 'MARK', '--set-xmark', '0x00004000/0x00000000'], true],
  ['another chain', 'POST', ['-s', '10.0.0.9/32', '-j', 'ACCEPT'], false],
  ['a part of a rule', 'OTHER', ['-j', 'ACCEPT'], false],
  ['more than a rule', 'OTHER', ['-s', '10.0.0.9/32', '-p', 'tcp', '-j', 'ACCEPT'], false],
  ['another mask', 'OTHER', ['-s', '10.0.0.9/3', '-j', 'ACCEPT'], false],
])('a save has a rule given with %s', (_, chain, rule, there) => {
  expect(isRuleInSave(save, { chain, rule })).toBe(there)
})
