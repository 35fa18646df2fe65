import { displayName, type ServicePort } from '@pointsman/core'
import type { Layout } from '../layout/layout.js'
import { isSpreadName } from '../layout/names.js'
import { keyText, targetOfStatement, type Element, type Table, type TableParts } from '../table/table.js'

/** What is the proxy's in its table: others may have put something of theirs there. */
export const ownPart = ({ chains, sets }: Table, { isOwn }: Layout): Table => ({
  chains: new Map([...chains].filter(([name]) => isOwn(name))),
  sets: new Map([...sets].filter(([name]) => isOwn(name))),
})

/** Whether a line of a transaction is about a service port, by a name or a comment in it. */
export const isNamedBy = (line: string, port: ServicePort | undefined, { isOfService }: Layout): boolean =>
  port !== undefined &&
  (line.split(/[\s,]+/).some((word) => isOfService(word.replace(/^@/, ''), port)) ||
    line.includes(`comment "${displayName(port)}"`))

/** What a table has of a service port, as far as names and comments tell: what it keeps where nothing else is known of it. */
export function adopted(port: ServicePort, { chains, sets }: Table, { isOfService }: Layout): TableParts {
  const elements = [...sets.values()].flatMap((set) => [...set.elements.values()])
  const isCommented = ({ comment }: Element): boolean => comment === displayName(port)
  // Of the elements of a front that has no chain, one has a comment.
  const fronts = new Set(elements.filter((each) => isSpreadName(each.set) && isCommented(each)).map(keyText))
  const isOwn = (element: Element): boolean => {
    const { set, key, verdict, data } = element
    if (verdict !== undefined) return isOfService(targetOfStatement(verdict) ?? '', port) || isCommented(element)
    if (isSpreadName(set)) return fronts.has(keyText({ key: data === undefined ? key : key.slice(0, -1) }))
    return key.length === 1 && key[0] === port.clusterIP
  }
  return {
    chains: [...chains.values()].filter(({ name }) => isOfService(name, port)),
    sets: [...sets.values()].flatMap(({ declaration }) => (isOfService(declaration.name, port) ? [declaration] : [])),
    elements: elements.filter(isOwn),
  }
}
