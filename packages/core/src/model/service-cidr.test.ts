import { expect, test } from 'vitest'
import { serviceCidr } from '../testing/manifests.js'
import type { KubernetesObject } from './kubernetes-object.js'
import { serviceCidrsOf, unionOfCidrs } from './service-cidr.js'

test('gives the CIDRs of both families in canonical spelling, each once', () => {
  const object = serviceCidr({ name: 'kubernetes', cidrs: ['10.96.3.4/12', 'FD00:10:96:0::/112', '10.96.0.0/12'] })
  expect(serviceCidrsOf(object)).toEqual({ cidrs: ['10.96.0.0/12', 'fd00:10:96::/112'], diagnostics: [] })
})

test('a ServiceCIDR that is being deleted, or is not ready, still counts', () => {
  const object = serviceCidr({ name: 'old', cidrs: ['10.1.0.0/16'], ready: false, deleting: true })
  expect(serviceCidrsOf(object).cidrs).toEqual(['10.1.0.0/16'])
})

test('reports what is no CIDR, and uses the rest', () => {
  const object: KubernetesObject = {
    ...serviceCidr({ name: 'odd', cidrs: [] }),
    spec: { cidrs: ['10.96.0.0/12', '10.0.0.0', 7, null] },
  }
  const { cidrs, diagnostics } = serviceCidrsOf(object)
  expect(cidrs).toEqual(['10.96.0.0/12'])
  expect(diagnostics.map(({ code, path, object: of }) => [code, of, path])).toEqual([
    ['NOT_A_CIDR', 'ServiceCIDR odd', 'spec.cidrs[1]'],
    ['NOT_A_CIDR', 'ServiceCIDR odd', 'spec.cidrs[2]'],
    ['NOT_A_CIDR', 'ServiceCIDR odd', 'spec.cidrs[3]'],
  ])
  expect(serviceCidrsOf({ ...object, spec: 'none' }).diagnostics.map(({ code }) => code)).toEqual(['WRONG_TYPE'])
})

test('a state has the CIDRs of all objects, sorted', () => {
  expect(
    unionOfCidrs([
      ['fd00::/112', '10.96.0.0/12'],
      ['10.1.0.0/16', '10.96.0.0/12'],
    ]),
  ).toEqual(['10.1.0.0/16', '10.96.0.0/12', 'fd00::/112'])
})
