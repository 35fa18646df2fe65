import { expect, it } from 'vitest'
import { failedLineOf, restoreFailureAt } from './iptables-error.js'

async function* pieces(...given: readonly string[]): AsyncGenerator<string> {
  yield* given
}

it.each([
  ['iptables-restore: line 3 failed', 3],
  ['iptables-nft-restore: line 3 failed: No chain/target/match by that name.', 3],
  ["iptables-restore v1.8.9 (legacy): Couldn't load target `X':No such file\n\nError occurred at line: 4\nTry `x'", 4],
  ['iptables-nft-restore v1.8.9 (nf_tables): \nline 3: CHAIN_DEL failed (Device or resource busy): chain A', 3],
  ['iptables-restore: COMMIT expected at line 5', 5],
  ['Permission denied (you must be root)', undefined],
])('finds the line in %j', (stderr, line) => {
  expect(failedLineOf(stderr)).toBe(line)
})

it.each([
  [1, 'one', ['2 two', '3 three']],
  [3, 'three', ['1 one', '2 two', '4 four', '5 five']],
  [5, 'five', ['3 three', '4 four']],
])('shows line %i with its neighbours, wherever the pieces break', async (number, text, neighbours) => {
  const failure = await restoreFailureAt(number, pieces('one\ntw', 'o\n', 'three\nfour\nfi', 've'))
  expect(failure?.line).toEqual({ number, text })
  expect(failure?.neighbours.map((line) => `${line.number} ${line.text}`)).toEqual(neighbours)
})

it('shows nothing for a line that the input does not have', async () => {
  expect(await restoreFailureAt(9, pieces('one\n'))).toBeUndefined()
})
