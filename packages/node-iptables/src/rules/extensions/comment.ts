import type { Match } from '../rule.js'
import { quoteWord } from '../words.js'
import type { Extension } from './extension.js'

type CommentMatch = Extract<Match, { type: 'comment' }>

export const comment: Extension<CommentMatch> = {
  options: { '--comment': { values: 1 } },
  read: (given) => {
    const [text] = given.get('--comment')?.values ?? []
    const comment = text === undefined ? undefined : shortened(text)
    return comment === undefined ? undefined : { type: 'comment', comment }
  },
  write: (match) => {
    const word = quoteWord(match.comment)
    return word === undefined || Buffer.byteLength(match.comment) > MAX_BYTES ? undefined : ['--comment', word]
  },
}

// XT_MAX_COMMENT_LEN is 256 with the ending NUL.
const MAX_BYTES = 255

/** iptables cuts off what is too long. Undefined: it would cut through a character. */
function shortened(text: string): string | undefined {
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_BYTES) return text
  const kept = bytes.subarray(0, MAX_BYTES).toString('utf8')
  return text.startsWith(kept) ? kept : undefined
}
