import { describe, expect, it } from 'vitest'
import { findingsOf } from './diagnostic.js'
import type { KubernetesObject } from './kubernetes-object.js'
import { visible } from './shown-text.js'

const web: KubernetesObject = { kind: 'Service', metadata: { namespace: 'shop', name: 'web' } }

describe('findings', () => {
  it('are told in order, with the object, the place and the value', () => {
    const findings = findingsOf(web)
    findings.report('NOT_A_PORT', 'spec.ports[0].port', 0)
    findings.report('NO_ADDRESS', 'spec.x')
    expect(findings.all()).toEqual([
      {
        code: 'NOT_A_PORT',
        object: 'Service shop/web',
        path: 'spec.ports[0].port',
        value: 0,
        message: 'spec.ports[0].port (0): the value is not a port number from 1 to 65535',
      },
      {
        code: 'NO_ADDRESS',
        object: 'Service shop/web',
        path: 'spec.x',
        message: 'spec.x: the endpoint has no address',
      },
    ])
  })

  it('cost nothing where there are none', () => {
    expect(findingsOf(web).all()).toBe(findingsOf(web).all())
  })

  it('stay short, however large the value', () => {
    const findings = findingsOf(web)
    findings.report('WRONG_TYPE', 'spec', 'x'.repeat(100_000))
    findings.report('WRONG_TYPE', 'spec', [['x'.repeat(100_000)]])
    findings.report('WRONG_TYPE', 'spec', { a: 'x'.repeat(100_000) })
    expect(JSON.stringify(findings.all()).length).toBeLessThan(1000)
    expect(findings.all().map(({ message }) => message.slice(0, 20))).toEqual([
      'spec ("xxxxxxxxxxxxx',
      'spec (a list): the f',
      'spec (an object): th',
    ])
  })

  it('name a Node without a namespace, and no control character', () => {
    const findings = findingsOf({ kind: 'Node', metadata: { name: 'node\n\u007f\u2028"' } })
    findings.report('NO_ADDRESS', 'x')
    expect(findings.all()[0]?.object).toBe('Node node\\n\\u007f\\u2028\\"')
  })

  it('show printable text as it is', () => {
    expect(visible('shop/web ~!')).toBe('shop/web ~!')
  })
})
