import type { AgentConfig, ChangeLogReader, KubernetesObject, ObjectKind, SourceItem } from '@pointsman/core'
import { ChangeLogError, connectApiServer, kubernetesSource, openChangeLog } from '@pointsman/core/io'
import { asyncScheduler, defer, finalize, mergeMap, type Observable } from 'rxjs'
import type { Context } from '../context.js'
import type { AgentEvent } from './agent-event.js'
import type { AgentStart } from './start-from-log.js'

export interface ClusterSourceOptions {
  readonly config: Pick<AgentConfig, 'client'>
  readonly log: string
  readonly nodeName: string
  readonly version: string
  readonly start: Pick<AgentStart, 'known' | 'resume'>
  readonly emit: (event: AgentEvent) => void
  readonly onWarning: (message: string) => void
}

/** The cluster that an agent's configuration names, from where its log ends. Fails with an ApiServerError where none is named. */
export function clusterSource(options: ClusterSourceOptions, context: Context): Observable<SourceItem> {
  const { config, nodeName, version, start, emit, onWarning } = options
  const { client } = config
  const connect = () =>
    connectApiServer({
      kubeconfig: client.kubeconfig,
      master: client.server,
      otherwise: 'pod',
      env: context.env,
      userAgent: `pointsman/${version}`,
      qps: client.qps,
      burst: client.burst,
      onRequest: (request) => emit({ type: 'request', request }),
      onWarning,
      now: context.now,
    })
  return defer(connect).pipe(
    mergeMap((api) => {
      const lastVersions = createLastVersions(options.log)
      return kubernetesSource({
        api,
        nodeName,
        resume: start.resume,
        known: start.known.of,
        lastVersion: (kind, { namespace, name }) => lastVersions.of({ kind, namespace, name }),
        scheduler: asyncScheduler,
        random: Math.random,
      }).pipe(
        finalize(() => {
          lastVersions.close()
          void api.close()
        }),
      )
    }),
  )
}

interface LastVersions {
  /** An object as the log holds it. Undefined where the log cannot be read: then a deletion says no more than the name. */
  readonly of: (object: {
    readonly kind: ObjectKind
    readonly namespace: string
    readonly name: string
  }) => KubernetesObject | undefined
  readonly close: () => void
}

function createLastVersions(file: string): LastVersions {
  let log: ChangeLogReader | undefined
  return {
    of(object) {
      try {
        log ??= openChangeLog(file)
        for (const record of log.records({ types: ['object'], object, descending: true, limit: 1 })) {
          if (record.type === 'object') return record.object
        }
      } catch (error) {
        if (!(error instanceof ChangeLogError)) throw error
      }
      return undefined
    },
    close: () => log?.close(),
  }
}
