import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { TestApiServer } from './test-api-server.js'

/**
 * Puts recorded objects as they were: each gets the resourceVersion that it has, because the server's counter is moved to just
 * before. `end`: where the counter is left.
 */
export function putAtTheirVersions(
  server: Pick<TestApiServer, 'put' | 'skip' | 'resourceVersion'>,
  objects: readonly KubernetesObject[],
  end = 0,
): void {
  const version = ({ metadata }: KubernetesObject): number => Number(metadata['resourceVersion'])
  for (const object of objects.toSorted((a, b) => version(a) - version(b))) {
    server.skip(version(object) - server.resourceVersion() - 1)
    server.put(object)
  }
  server.skip(Math.max(0, end - server.resourceVersion()))
}
