/**
 * Eight hexadecimal digits of FNV-1a (32 bits, over UTF-16 code units) of a text, which may come in pieces: tells that a text
 * changed. Not a checksum against intent.
 */
export function textDigest(text: string | Iterable<string>): string {
  let hash = 0x811c9dc5
  for (const piece of typeof text === 'string' ? [text] : text)
    for (let index = 0; index < piece.length; index++) hash = Math.imul(hash ^ piece.charCodeAt(index), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
