import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { errorOfErrno, NETFILTER_ERRORS } from './netfilter-error.js'

it.each([
  [1, 'NO_PERMISSION', 'EPERM'],
  [93, 'NO_KERNEL_SUPPORT', 'EPROTONOSUPPORT'],
  [16, 'FAILED', 'EBUSY'],
])('errno %i is %s', (errno, code, errnoName) => {
  const error = errorOfErrno('GETGEN', errno)
  expect(error).toMatchObject({ code, errno, errnoName, operation: 'GETGEN' })
  expect(error.message).toBe(`GETGEN: ${NETFILTER_ERRORS[error.code]} (${errnoName})`)
})

it('the README lists the codes with what they mean', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const rows = readme.split('\n').filter((line) => /^\| `[A-Z_]+` \|/.test(line))
  expect(rows).toEqual(Object.entries(NETFILTER_ERRORS).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`))
})
