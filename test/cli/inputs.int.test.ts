import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { reportInput } from '../support/shop.js'

const pointsman = (...args: readonly string[]): Promise<Ended> => runPointsman(args)

describe('an object that is given twice (15-object-twice)', () => {
  const objects = ['--objects', reportInput('15-object-twice/watch.yaml')]

  test.each([
    ['explain', ['explain', 'x/a'], /cluster IP 10\.96\.1\.1:81 /],
    ['services', ['services'], /x\/a +ClusterIP +TCP +10\.96\.1\.1:81 /],
    ['render', ['render'], /-d 10\.96\.1\.1\/32 .*--dport 81 /],
    ['rules', ['rules', 'x/a', '--cluster-cidr', '10.244.0.0/16'], /10\.96\.1\.1:81/],
  ])('is the newer one to %s', async (_, args, wanted) => {
    const { stdout, stderr } = await pointsman(...args, ...objects)
    expect(stdout).toMatch(wanted)
    expect(stdout).not.toMatch(/10\.96\.1\.1:80|--dport 80 /)
    expect(stderr).toContain(
      'warning: Service x/a is given twice, with different content: the newest is used (resourceVersion 70)\n',
    )
  })
})

describe('what kubectl prints as several documents (16-cluster-info-dump)', () => {
  test('cluster-info dump is read, with the logs between', async () => {
    const { status, stdout, stderr } = await pointsman(
      'services',
      '--objects',
      reportInput('16-cluster-info-dump/dump.txt'),
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('error') })
    expect(stdout).toMatch(/app\/web:http +ClusterIP +TCP +10\.96\.3\.3:80 +1\/1 /)
  })

  test('get --watch -o json is read to the last version of each', async () => {
    const { status, stdout } = await pointsman('services', '--objects', reportInput('16-cluster-info-dump/watch.json'))
    expect(status).toBe(0)
    expect(stdout).toMatch(/app\/web:http +ClusterIP +TCP +10\.96\.3\.3:80 +none/)
  })
})

describe('a configuration as kubeadm has it (22-config-as-kubeadm-has-it)', () => {
  const objects = ['--objects', reportInput('22-config-as-kubeadm-has-it/base.yaml')]
  const config = (name: string) => ['--config', reportInput(`22-config-as-kubeadm-has-it/${name}.yaml`)]

  test('is taken out of its ConfigMap', async () => {
    const explained = await pointsman('explain', 'default/kubernetes', ...objects, ...config('configmap'))
    expect(explained).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('is served by 1 endpoint'),
    })
    const { stdout } = await pointsman('render', ...objects, ...config('configmap'))
    expect(stdout).toContain('! -s 10.244.0.0/16 -d 10.96.0.1/32')
  })

  test.each([
    ['explain', ['explain', 'default/kubernetes'], 'is served by 1 endpoint'],
    ['services', ['services'], '10.96.0.1:443  1/1'],
  ])('of mode ipvs is answered by %s with a warning', async (_, args, wanted) => {
    const { status, stdout, stderr } = await pointsman(...args, ...objects, ...config('ipvs'))
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining(wanted) })
    expect(stderr).toMatch(/^warning: .*ipvs\.yaml: mode is ipvs: .*\n$/)
  })

  test.each([['render'], ['audit'], ['trace', 'tcp 10.244.1.9 -> 10.96.0.1:443'], ['rules', 'default/kubernetes']])(
    'of mode ipvs is refused by %s, which is about rules',
    async (...args) => {
      const { status, stdout, stderr } = await pointsman(...args, ...objects, ...config('ipvs'))
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
      expect(stderr).toMatch(/^error: .*mode "ipvs" is not supported: .*\n$/)
    },
  )
})
