import type { Match } from '../rule.js'
import { quoteWord } from '../words.js'
import type { Extension } from './extension.js'

type CommentMatch = Extract<Match, { type: 'comment' }>

export const comment: Extension<CommentMatch> = {
  options: { '--comment': { values: 1 } },
  read: (given) => {
    const [text] = given.get('--comment')?.values ?? []
    return text === undefined || Buffer.byteLength(text) > MAX_BYTES ? undefined : { type: 'comment', comment: text }
  },
  write: (match) => {
    const word = quoteWord(match.comment)
    return word === undefined || Buffer.byteLength(match.comment) > MAX_BYTES ? undefined : ['--comment', word]
  },
}

// XT_MAX_COMMENT_LEN is 256 with the ending NUL.
const MAX_BYTES = 255
