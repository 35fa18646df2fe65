import type { ServicePortName } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { type Column, renderTable } from '../output/table.js'
import { titleOf } from '../rules/front-text.js'
import { headLine } from './diff-text.js'
import { type Differences, isSame, ruleCounts } from './find-differences.js'

/** How much differs: a line a service port, and one for the objects of each kind. */
export function diffStat(differences: Differences, style: Style): readonly string[] {
  const head = headLine(differences, style)
  if (isSame(differences)) return [head]
  const kinds = new Set(differences.objects.map(({ kind }) => kind))
  const objects = [...kinds].map((kind) => {
    const events = differences.objects.filter((object) => object.kind === kind).map(({ event }) => event)
    const count = (event: string): number => events.filter((each) => each === event).length
    return `  ${kind}s  ${counts({ '+': count('ADDED'), '-': count('DELETED'), '~': count('MODIFIED') })}`
  })
  return [head, '', ...objects, '', ...renderTable(COLUMNS, rowsOf(differences), { title: style.bold, indent: '  ' })]
}

interface Row {
  readonly title: string
  readonly endpoints: string
  readonly rules: string
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SERVICE PORT', cell: ({ title }) => title },
  { title: 'ENDPOINTS', cell: ({ endpoints }) => endpoints },
  { title: 'RULES', cell: ({ rules }) => rules },
]

function rowsOf(differences: Differences): readonly Row[] {
  const { from, to, ports, chains } = differences
  const owners = new Set<ServicePortName | undefined>([
    ...chains.map(({ owner }) => owner),
    ...ports.map(({ port }) => port.id),
  ])
  const sorted = [...owners].toSorted((a, b) => ((a ?? '') < (b ?? '') ? -1 : 1))
  return sorted.map((owner): Row => {
    const port = owner && (to.state.services.get(owner) ?? from.state.services.get(owner))
    const endpoints = ports.find((each) => each.port.id === owner)?.endpoints ?? []
    const rules = ruleCounts(chains.filter((chain) => chain.owner === owner))
    return {
      title: port === undefined ? '(of no service)' : titleOf(port),
      endpoints: counts({
        '+': endpoints.filter(({ before }) => before === undefined).length,
        '-': endpoints.filter(({ after }) => after === undefined).length,
        '~': endpoints.filter(({ before, after }) => before !== undefined && after !== undefined).length,
      }),
      rules: counts({ '+': rules.added, '-': rules.removed, '~': rules.odds }),
    }
  })
}

/** `+2 -1`: what is zero is left out. */
const counts = (numbers: { readonly [sign: string]: number }): string =>
  Object.entries(numbers)
    .filter(([, number]) => number > 0)
    .map(([sign, number]) => `${sign}${number}`)
    .join(' ')
