import { Gauge, type Registry } from 'prom-client'

/** What was built, of what, by what. */
export interface BuildInfo {
  /** `0.1.0`. */
  readonly version: string
  /** `v20.20.2`: what runs it. */
  readonly runtimeVersion: string
  /** `linux/amd64`, as Go spells it. */
  readonly platform: string
  /** Absent: not known. */
  readonly commit?: string
  readonly builtAt?: string
}

/** The metric by which dashboards tell versions apart, with Kubernetes' labels and our values. */
export function registerBuildInfo(registry: Registry, build: BuildInfo): void {
  const [major = '', minor = ''] = build.version.split('.')
  const labels = {
    major,
    minor,
    git_version: `v${build.version}`,
    git_commit: build.commit ?? '',
    git_tree_state: build.commit === undefined ? '' : 'clean',
    build_date: build.builtAt ?? '',
    go_version: `node${build.runtimeVersion.replace(/^v/, '')}`,
    compiler: 'node',
    platform: build.platform,
  }
  new Gauge({
    name: 'kubernetes_build_info',
    help: 'Always 1: the version of Pointsman, under the labels that Kubernetes has for its own.',
    labelNames: Object.keys(labels),
    registers: [registry],
  }).set(labels, 1)
}
