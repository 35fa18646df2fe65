import { test } from 'vitest'
import { describeWorld, expectFates } from './describe-world.js'

describeWorld('packets to a cluster IP', (world) => {
  test('reach every endpoint, and those that no pod of the cluster sends are masqueraded', async () => {
    await world.apply({ services: [{ endpoints: ['near-b', 'far-c'] }] })
    await expectFates(world, {
      'tcp client -> web:80': 'far-c near-b as the node',
      'tcp node -> web:80': 'far-c near-b as the node',
      'tcp near-a -> web:80': 'far-c near-b as sent',
      'tcp client -> nobody:80': 'the internet',
      'tcp client -> web:7777': 'the internet',
    })
  })
})
