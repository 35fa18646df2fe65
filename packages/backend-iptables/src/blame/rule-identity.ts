import { formatRule, type Match, type Rule } from 'node-iptables'

type Odds = Extract<Match, { readonly type: 'statistic-random' }>

/**
 * What makes a rule the same one from record to record: all that it says, but for its odds. Those follow from how many
 * neighbours it has; a rule that matches something else, or leads elsewhere, is another rule.
 */
export const identityOf = (rule: Rule): string => formatRule(oddsOf(rule) === undefined ? rule : withoutOdds(rule))

/** The odds that a rule has: `chances / 2^31`; undefined where it asks for none. */
export const oddsOf = ({ matches }: Rule): Odds | undefined => matches.find(isOdds)

/** The same, comments aside as well: large clusters are written without, and people paste what they see. */
export const bareIdentityOf = (rule: Rule): string =>
  formatRule({ ...rule, matches: rule.matches.filter((match) => !isOdds(match) && match.type !== 'comment') })

const withoutOdds = (rule: Rule): Rule => ({ ...rule, matches: rule.matches.filter((match) => !isOdds(match)) })

const isOdds = (match: Match): match is Odds => match.type === 'statistic-random'
