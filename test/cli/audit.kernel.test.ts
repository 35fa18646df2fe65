import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Variant } from 'node-iptables'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { auditReport } from '../../packages/cli/src/commands/audit/schema.js'
import { schemaProblems } from '../support/json-schemas.js'
import { createAgentLog } from '../support/agent-log.js'
import { goldenFiles } from '../support/goldens.js'
import { createKernelNode, type KernelNode } from '../support/kernel-node.js'
import { POINTSMAN, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

const { args } = goldenFiles('node-port', folder)

describeWithKernel('an audit of the tables of a machine', () => {
  describe.each(['nft', 'legacy'] as const)('with iptables-%s', (variant: Variant) => {
    const other = variant === 'nft' ? 'legacy' : 'nft'
    let node: KernelNode
    let count = 0
    beforeEach(async () => {
      node = createKernelNode(variant)
      await node.pointsman('apply', ...args)
    })
    afterEach(() => node.remove())

    const ruleOf = (pattern: RegExp): string => pattern.exec(node.saved('iptables-save.txt'))?.[0] ?? ''
    const change = (...lines: readonly string[]): void => {
      const path = folder.path(`change-${variant}.txt`)
      writeFileSync(path, ['*nat', ...lines, 'COMMIT', ''].join('\n'))
      node.run(`iptables-${variant}-restore --noflush ${path}`)
    }

    /** A PATH with which the command is run as soon as the IPv4 tables were read once. */
    const afterFirstSave = (command: string): string => {
      const programs = folder.path(`programs-${variant}-${++count}`)
      mkdirSync(programs)
      const name = `iptables-${variant}-save`
      const real = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
      const script = `#!/bin/sh\n${real} "$@" || exit\nmkdir ${programs}/once 2> /dev/null || exit 0\n${command} > /dev/null\n`
      writeFileSync(`${programs}/${name}`, script)
      chmodSync(`${programs}/${name}`, 0o755)
      return `${programs}:${process.env['PATH'] ?? ''}`
    }

    test('finds nothing after an apply, whatever others have there, and changes nothing', async () => {
      const before = node.saved('iptables-save.txt')
      const { status, stdout, stderr } = await node.pointsman('audit', ...args)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).toMatch(
        new RegExp(
          `^the rules are as they should be\\nIPv4 and IPv6, iptables-${variant} [\\d.]+, \\d+ rules; compared with those expected from objects, node node-a\\n$`,
        ),
      )
      expect(node.saved('iptables-save.txt')).toBe(before)
    })

    test('finds a rule that somebody deleted, in either family, until an apply puts it back', async () => {
      const rule = ruleOf(/^-A KUBE-SVC-\w+ .* -j KUBE-SEP-\w+$/m)
      change(rule.replace('-A', '-D'))
      node.run(`ip6tables-${variant} -t nat -D KUBE-POSTROUTING 1`)
      const found = await node.pointsman('audit', ...args)
      expect(found).toMatchObject({ status: 1, stderr: '' })
      expect(found.stdout).toMatch(/^2 findings: 2 missing rules\n/)
      expect(found.stdout).toContain(`    MISSING_RULE: the rule is missing\n    - ${rule}\n`)
      expect(found.stdout).toContain('  IPv6 nat KUBE-POSTROUTING\n')

      const { stdout } = await node.pointsman('audit', ...args, '-o', 'json')
      const document = JSON.parse(stdout) as object
      expect(schemaProblems(document, auditReport)).toEqual([])
      expect(document).toMatchObject({
        tables: [
          { family: 'IPv4', variant },
          { family: 'IPv6', variant },
        ],
      })

      await node.pointsman('apply', ...args)
      expect(await node.pointsman('audit', ...args)).toMatchObject({ status: 0 })
    })

    test('tells nothing of what is gone at a second look: a sync was under way', async () => {
      const rule = ruleOf(/^-A KUBE-SEP-\w+ .* -j KUBE-MARK-MASQ$/m)
      const again = folder.path(`again-${variant}.txt`)
      const chain = rule.split(' ')[1] ?? ''
      writeFileSync(again, `*nat\n-I ${chain} 1 ${rule.split(' ').slice(2).join(' ')}\nCOMMIT\n`)
      change(rule.replace('-A', '-D'), '-A KUBE-SERVICES -s 192.0.2.1/32 -j ACCEPT')

      const path = afterFirstSave(`iptables-${variant}-restore --noflush ${again}`)
      const { status, stdout, stderr } = await node.pointsmanWith(path, 'audit', ...args, '--iptables-variant', variant)
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: '1 finding of a first look had gone at a second: not told\n',
      })
      expect(stdout).toMatch(/^1 finding: 1 foreign rule\n/)
    })

    test('tells nothing of changes that a log had not heard of at the first look', async () => {
      const [whole, behind] = [folder.path(`whole-${variant}.db`), folder.path(`behind-${variant}.db`)]
      const events = readFileSync(SHOP_RECORDING, 'utf8').split('\n')
      await runPointsman(['import', SHOP_RECORDING, '--log', whole])
      await runPointsman(['import', '-', '--log', behind], { input: `${events.slice(0, 106).join('\n')}\n` })
      const pods = ['--cluster-cidr', '10.244.0.0/16', '--iptables-variant', variant]
      await node.pointsman('replay', whole, '--backend', 'iptables', ...pods)

      const audited = ['audit', '--log', behind, ...pods]
      const { status, stdout } = await node.pointsman(...audited)
      expect({ status, held: stdout.split('\n')[1] }).toEqual({
        status: 1,
        held: expect.stringContaining('compared with those expected at seq 106,') as string,
      })
      const path = afterFirstSave(`${process.execPath} ${POINTSMAN} import ${SHOP_RECORDING} --log ${behind}`)
      const again = await node.pointsmanWith(path, ...audited)
      expect(again.status).toBe(0)
      expect(again.stdout).toMatch(/^the rules are as they should be\n.* compared with those expected at seq 128,/)
    })

    test.each([
      ['tells nothing of what an agent changes again and again, and is behind with', true, [], 0],
      ['tells what an agent has not put right', false, [], 1],
      // The Node, the Service, a slice, a sync and the slice: whatever has come into force since is not what is asked about.
      ['tells what differs from a point that is asked for', true, ['--at', '5'], 1],
    ])('%s', async (_, isInForce, at, status) => {
      const pods = ['--cluster-cidr', '10.244.0.0/16', '--iptables-variant', variant]
      const agent = createAgentLog(folder.path(`agent-${variant}-${++count}.db`))
      agent.append(...agent.cluster(), agent.endpoint('10.244.1.5'), agent.sync())
      await node.pointsman('replay', agent.path, '--backend', 'iptables', ...pods)
      // Heard of, and not in force yet. Meanwhile the Service is what it was, and then it changes again.
      agent.append(agent.endpoint('10.244.1.6'))
      const since = [agent.endpoint('10.244.1.5'), ...(isInForce ? [agent.sync()] : []), agent.endpoint('10.244.1.6')]
      const path = afterFirstSave(agent.appending(...since))
      const audited = await node.pointsmanWith(path, 'audit', '--log', agent.path, ...at, ...pods)
      expect(audited).toMatchObject({ status })
    })

    test('finds chains of the proxy in the other variant, and none where it has only those of kubelet', async () => {
      const path = folder.path(`other-${variant}.txt`)
      writeFileSync(path, '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n')
      node.run(`iptables-${other}-restore --noflush ${path}`)
      expect(await node.pointsman('audit', ...args, '--iptables-variant', variant)).toMatchObject({ status: 0 })

      writeFileSync(path, '*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -d 10.96.0.1/32 -j ACCEPT\nCOMMIT\n')
      node.run(`iptables-${other}-restore --noflush ${path}`)
      const { status, stdout } = await node.pointsman('audit', ...args, '--iptables-variant', variant)
      expect(status).toBe(1)
      expect(stdout).toMatch(/^1 finding: 1 ruleset in the other variant\n/)
      expect(stdout).toContain(`  IPv4 iptables-${other}\n`)
      expect(stdout).toContain('    + -A KUBE-SERVICES -d 10.96.0.1/32 -j ACCEPT\n')
      const [, command = ''] = /`pointsman (.*)` removes them/.exec(stdout) ?? []
      expect(await node.pointsman(...command.split(' '))).toMatchObject({ status: 0 })
      expect(await node.pointsman('audit', ...args, '--iptables-variant', variant)).toMatchObject({ status: 0 })
    })
  })
})
