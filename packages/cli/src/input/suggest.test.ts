import { expect, test } from 'vitest'
import { didYouMean } from './suggest.js'

test.each([
  ['chekout', ': did you mean checkout?'],
  ['chekcout', ': did you mean checkout?'],
  ['Cart', ': did you mean cart?'],
  ['crat', ': did you mean cart?'],
  ['payments-v2', ': did you mean payments?'],
  ['zzz', ''],
  ['', ''],
])('for %j it is %j', (wanted, hint) => {
  expect(didYouMean(wanted, ['cart', 'checkout', 'payments'])).toBe(hint)
})
