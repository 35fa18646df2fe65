/** What to tell the user of a Node that is not supported (`>=20.19 <21 || >=22.12`); undefined when it is. */
export function refusalOf(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const supported = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
  if (supported) return undefined
  return `Node ${version} is not supported: use 20.19 or a later 20, or 22.12 or later (an LTS release is best)`
}
