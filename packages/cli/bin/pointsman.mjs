#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'

// An agent stays, beside whatever else its node is for: it collects garbage early, for which docs/performance.md has the price.
if (process.argv[2] === 'run') {
  setFlagsFromString('--optimize-for-size')
  setFlagsFromString('--semi-space-growth-factor=1')
}

const { main } = await import('../bundle/main.js')
await main()
