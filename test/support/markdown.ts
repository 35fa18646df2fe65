/** The relative targets of a document's links and pictures, without their `#part`. Code is not looked into. */
export function relativeLinksOf(markdown: string): readonly string[] {
  const prose = markdown.replaceAll(/^( *)(```|~~~)[\s\S]*?^\1\2/gm, '').replaceAll(/`[^`\n]*`/g, '')
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)]
  const references = [...prose.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)]
  return [...inline, ...references]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^(?:[a-z][a-z+.-]*:|#|\/\/)/i.test(target))
    .map((target) => target.replace(/#.*$/, ''))
}

/**
 * The codes that a document lists for each table in the source: the first column of the tables under a heading that
 * holds the source table's name in backquotes.
 */
export function codesByTable(markdown: string): ReadonlyMap<string, readonly string[]> {
  const sections = markdown.split(/^#+ /m).slice(1)
  return new Map(
    sections.flatMap((section) => {
      const name = /^[^\n]*`([A-Z_]+)`/.exec(section)?.[1]
      const codes = [...section.matchAll(/^\| *`([A-Z]\w+)` *\|/gm)].map((match) => match[1] ?? '')
      return name === undefined ? [] : [[name, codes] as const]
    }),
  )
}
