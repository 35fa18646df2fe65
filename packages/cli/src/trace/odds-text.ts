import { oddsToNumber, type Odds } from '@pointsman/core'

/** `1/3` for what is one in three but for the kernel's rounding, else `66.7%`; `always` for what is certain. */
export function oddsText(odds: Odds): string {
  const number = oddsToNumber(odds)
  if (number === 1) return 'always'
  const whole = Math.round(1 / number)
  return Math.abs(number * whole - 1) < ROUNDING ? `1/${whole}` : `${(number * 100).toFixed(1)}%`
}

/** The kernel's dice have 2^31 sides: of a thousand endpoints, each has its share to five digits. */
const ROUNDING = 1e-5
