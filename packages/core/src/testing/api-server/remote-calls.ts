import type { TestApiServer, TestApiServerOptions } from './test-api-server.js'

/** What can be asked of a test server that is a process of its own: all but what is no data. */
export const REMOTE_CALLS = [
  'put',
  'putAll',
  'delete',
  'objects',
  'events',
  'forgetEvents',
  'resourceVersion',
  'compact',
  'skip',
  'misbehave',
  'disturb',
  'bookmark',
  'watches',
  'count',
  'connections',
  'setTokens',
  'setDoor',
  'goAway',
  'comeBack',
  'kubeconfig',
  'close',
] as const satisfies readonly (keyof TestApiServer)[]

export type RemoteCall = (typeof REMOTE_CALLS)[number]

/** As of TestApiServer, answered later; `misbehave` cannot be taken back. */
export type RemoteApiServer = {
  readonly [call in RemoteCall]: (
    ...args: Parameters<TestApiServer[call]>
  ) => Promise<call extends 'misbehave' ? undefined : Awaited<ReturnType<TestApiServer[call]>>>
} & Pick<TestApiServer, 'url' | 'port' | 'token'> & {
    readonly requests: () => Promise<TestApiServer['requests']>
    /** SIGKILL, as a server dies of it. */
    readonly kill: () => void
  }

/** To the process: what to start, once, and then calls. */
export type ToServer =
  | { readonly type: 'start'; readonly options: Omit<TestApiServerOptions, 'authority' | 'now'> }
  | {
      readonly type: 'call'
      readonly id: number
      readonly call: RemoteCall | 'requests'
      readonly args: readonly unknown[]
    }

/** From the process. */
export type FromServer =
  | { readonly type: 'started'; readonly url: string; readonly port: number; readonly token: string }
  | { readonly type: 'result'; readonly id: number; readonly result: unknown }
  | { readonly type: 'error'; readonly id: number; readonly message: string }
