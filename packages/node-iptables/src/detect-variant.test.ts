import { expect, it } from 'vitest'
import { chooseVariant, evidenceIn, type VariantEvidence } from './detect-variant.js'

const hints = { chains: ['NODE-HINT', 'NODE-CANARY'], prefix: 'NODE-' }

async function* lines(text: string): AsyncGenerator<string> {
  yield* text.split('\n')
}
const save = (text: string): Promise<VariantEvidence> => evidenceIn(lines(text), hints)

const hinted = '*mangle\n:NODE-HINT - [0:0]\nCOMMIT'
const elsewhere = '*nat\n:NODE-HINT - [0:0]\nCOMMIT'
const rules = '*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j ACCEPT\n-A OUTPUT -j ACCEPT\nCOMMIT'

it.each([
  ['', '', 'nft, more rules'],
  [rules, '', 'nft, more rules'],
  ['', rules, 'legacy, more rules'],
  [rules, hinted, 'legacy, hint chain'],
  [hinted, rules, 'nft, hint chain'],
  ['', elsewhere, 'nft, more rules'],
  [undefined, rules, 'legacy, the only one installed'],
  [hinted, undefined, 'nft, the only one installed'],
  [undefined, undefined, undefined],
])('with nft %j and legacy %j the choice is %s', async (nft, legacy, expected) => {
  const choice = chooseVariant(
    {
      nft: nft === undefined ? undefined : await save(nft),
      legacy: legacy === undefined ? undefined : await save(legacy),
    },
    hints,
  )
  expect(choice && `${choice.variant}, ${choice.because}`).toBe(expected)
  expect(choice?.warning).toBeUndefined()
})

// What kubelets make on a node that is Kubernetes', by the names of the real chains.
const kubelet = { chains: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'], prefix: 'KUBE-', shared: ['KUBE-FIREWALL'] }
const hint = '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT'
const canary = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT'
const proxy = `*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\n${'-A KUBE-SERVICES -j ACCEPT\n'.repeat(9)}COMMIT`
const foreign = '*nat\n:DOCKER - [0:0]\n-A OUTPUT -j DOCKER\nCOMMIT'
// Both families are read, one after the other.
const secondFamily = `${foreign}\n${hint}`

it.each([
  ['the hint in nft', hint, foreign, 'nft, hint chain'],
  ['the hint in legacy', foreign, hint, 'legacy, hint chain'],
  ['the hint of one family', '', secondFamily, 'legacy, hint chain'],
  ['an earlier kubelet in legacy', foreign, canary, 'legacy, hint chain'],
  ['the hint in both', hint, hint, 'nft, hint chain'],
  ['the hint in legacy, the remains of an earlier kubelet in nft', canary, hint, 'nft, hint chain'],
  [
    "kubelet's own in legacy, a proxy in nft",
    proxy,
    `${hint}\n*filter\n:KUBE-FIREWALL - [0:0]\nCOMMIT`,
    'legacy, hint chain, warns: nft (2), and legacy is used',
  ],
  [
    'a proxy in both, kubelet in one',
    proxy,
    `${hint}\n${proxy}`,
    'legacy, hint chain, warns: both variants (nft 2, legacy 2)',
  ],
  ['the hint in nft, a proxy in legacy', hint, proxy, 'nft, hint chain, warns: legacy (2), and nft is used'],
  ['the hint in legacy, a proxy in nft', proxy, hint, 'legacy, hint chain, warns: nft (2), and legacy is used'],
  ['no hint, rules in legacy', '', proxy, 'legacy, more rules'],
  ['no hint, rules in both', proxy, proxy, 'nft, more rules, warns: both variants (nft 2, legacy 2)'],
])('on a node of Kubernetes, %s', async (_, nft, legacy, expected) => {
  const choice = chooseVariant(
    { nft: await evidenceIn(lines(nft), kubelet), legacy: await evidenceIn(lines(legacy), kubelet) },
    kubelet,
  )
  const counts = /KUBE-\* exist in (.*): packets meet both/.exec(choice?.warning ?? '')?.[1]
  const warning = counts === undefined ? [] : [`warns: ${counts}`]
  expect([choice?.variant, choice?.because, ...warning].join(', ')).toBe(expected)
})

it('warns when both variants have chains of one owner', async () => {
  const choice = chooseVariant(
    { nft: await save('*nat\n:NODE-A - [0:0]\nCOMMIT'), legacy: await save('*filter\n:NODE-B - [0:0]\nCOMMIT') },
    hints,
  )
  expect(choice?.warning).toContain('NODE-* exist in both')
})
