const SHORT = {
  '--source': '-s',
  '--destination': '-d',
  '--protocol': '-p',
  '--jump': '-j',
  '--match': '-m',
  '--in-interface': '-i',
}
const FIRST = ['-s', '-d', '-i', '-p']

/** A rule's words as iptables-save prints them: short names, masks, addresses first, the protocol's match named. */
export function canonicalRule(words) {
  const options = []
  for (const word of words) {
    if (word.startsWith('-')) options.push([SHORT[word] ?? word])
    else options.at(-1)?.push(word)
  }
  const [protocol] = options.filter(([name]) => name === '-p').map(([, value]) => value)
  const named = options.some(([name, value]) => name === '-m' && value === protocol)
  const port = options.findIndex(([name]) => name === '--dport' || name === '--sport')
  if (port >= 0 && !named) options.splice(port, 0, ['-m', protocol])
  const place = ([name]) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length)
  return options
    .toSorted((a, b) => place(a) - place(b))
    .flatMap(([name, ...values]) => [name, ...values.map((value) => masked(name, value))])
}

function masked(name, value) {
  if ((name !== '-s' && name !== '-d') || value.includes('/')) return value
  return `${value}/${value.includes(':') ? 128 : 32}`
}
