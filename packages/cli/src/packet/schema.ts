import { listOf, objectOf, oneOfKeys, required, text } from '../output/schema.js'
import { LOOK_CODES } from './also-look-at.js'

const look = objectOf('AlsoLookAt', {
  code: required(oneOfKeys(LOOK_CODES), 'what it is about, for a script'),
  message: required(text, 'why, for a person'),
  command: required(text, 'the command that checks it on the node; it changes nothing'),
})

/** The list that `explain` and `trace` print below their answers. */
export const alsoLookAtList = listOf(look)
