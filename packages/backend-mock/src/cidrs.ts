import { parseCidr, type Cidr, type IpFamily } from '@pointsman/core'

/** The CIDRs of one family in a list of texts. What is no CIDR is left out: configuration and objects were checked before. */
export const cidrsOfFamily = (texts: readonly string[], family: IpFamily): readonly Cidr[] =>
  texts.map(parseCidr).filter((cidr) => cidr?.family === family) as readonly Cidr[]
