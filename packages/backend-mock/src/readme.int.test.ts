import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { MOCK_BACKEND_ERROR_CODES } from './mock-backend.js'
import { ROUTE_ERROR_CODES } from './index.js'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const readme = read('../README.md')

it('the example in the README is a test that runs', () => {
  const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text]) => text)
  // The test imports its own package by path; whoever reads the README, by name.
  expect(examples).toEqual([read('readme-example.test.ts').replace("'./index.js'", "'@pointsman/backend-mock'")])
})

it.each([...Object.keys(ROUTE_ERROR_CODES), ...Object.keys(MOCK_BACKEND_ERROR_CODES)])(
  'the README names %s',
  (code) => {
    expect(readme).toContain(`\`${code}\``)
  },
)
