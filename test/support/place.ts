/** Where a source file stands: its package, its layer (the folder under src; empty at src itself), and what it is for. */
export interface Place {
  readonly package: string
  readonly layer: string
  /** A test, or something that only tests use. */
  readonly isTest: boolean
  /** A package's public face: index.ts of src, of core's io, testing and trace, and of the fake iptables. */
  readonly isFrontDoor: boolean
}

/** Undefined for a file that is not a package's source. */
export function placeOf(path: string): Place | undefined {
  const parts = /^packages\/([^/]+)\/src\/(.+)\.ts$/.exec(path)
  if (parts === null) return undefined
  const [, name = '', rest = ''] = parts
  const slash = rest.indexOf('/')
  return {
    package: name,
    layer: slash < 0 ? '' : rest.slice(0, slash),
    isTest: rest.endsWith('.test') || /(?:^|\/)test-support\//.test(rest),
    isFrontDoor: FRONT_DOORS.has(path) || rest === 'index',
  }
}

const FRONT_DOORS = new Set([
  'packages/core/src/io/index.ts',
  'packages/core/src/testing/index.ts',
  'packages/core/src/trace/index.ts',
  'packages/node-iptables/src/fake/index.ts',
])
