import { execFileSync } from 'node:child_process'
import { describeKernel } from '@pointsman/core/testing'

/** A suite in namespaces with both variants of iptables. */
export const describeIptables = (name: string, suite: () => void): void => describeKernel(name, missing(), suite)

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root'
  const programs = ['ip', 'nfacct', 'iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy']
  const lacking = programs.find((program) => !isInstalled(program))
  return lacking === undefined ? undefined : `it needs ${lacking}`
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
