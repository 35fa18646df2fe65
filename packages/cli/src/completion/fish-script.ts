import type { CommandSpec, OptionSpec } from './command-specs.js'

/** A completion script for fish. */
export function fishScript(commands: readonly CommandSpec[]): string {
  return `# pointsman completion for fish: pointsman completion fish > ~/.config/fish/completions/pointsman.fish
${commands.flatMap(commandLines).join('\n')}
`
}

function commandLines({ name, summary, options, subcommands }: CommandSpec): readonly string[] {
  const seen = `-n ${quoted(`__fish_seen_subcommand_from ${name}`)}`
  return [
    `complete -c pointsman -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
    ...subcommands.map(
      (subcommand) => `complete -c pointsman ${seen} -a ${subcommand.name} -d ${quoted(subcommand.summary)}`,
    ),
    ...options.map((option) => `complete -c pointsman ${seen} ${optionWords(option)}`),
  ]
}

function optionWords({ short, long, description, takesValue, choices }: OptionSpec): string {
  const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : takesValue ? ' -r' : ''
  return `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}${value} -d ${quoted(description)}`
}

const quoted = (text: string): string => `'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`
