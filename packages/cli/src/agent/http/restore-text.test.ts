import { parseSave } from 'node-iptables'
import { expect, it } from 'vitest'
import { restoreText } from './metrics-server.js'

const lines = ['*nat', ':KUBE-SERVICES - [0:0]', '-A KUBE-SERVICES -j RETURN', 'COMMIT']

it('can be restored again as it is, and says when it was sent and why it failed in comments', () => {
  const text = restoreText([
    { family: 'IPv4', at: Date.UTC(2026, 10, 21, 9), lines },
    { family: 'IPv6', at: Date.UTC(2026, 10, 21, 10), lines, error: 'refused:\nline 3' },
  ])
  expect(text).toBe(
    [
      '# IPv4, sent at 2026-11-21T09:00:00.000Z',
      ...lines,
      '',
      '# IPv6, sent at 2026-11-21T10:00:00.000Z',
      '# refused:',
      '# line 3',
      ...lines,
      '',
    ].join('\n'),
  )
  expect(parseSave(text).map(({ table }) => table)).toEqual(['nat', 'nat'])
})
