import type { CommandSpec, OptionSpec } from './command-specs.js'

/** A completion script for zsh. */
export function zshScript(commands: readonly CommandSpec[]): string {
  return `#compdef pointsman
# pointsman completion for zsh: pointsman completion zsh > "\${fpath[1]}/_pointsman"
_pointsman() {
  local -a commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}\n`).join('')}  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  case $words[2] in
${commands.map(commandCase).join('')}  esac
}
if [[ $funcstack[1] == _pointsman ]]; then _pointsman "$@"; else compdef _pointsman pointsman; fi
`
}

function commandCase({ name, options, subcommands }: CommandSpec): string {
  const names = subcommands.map((subcommand) => subcommand.name)
  const first = names.length === 0 ? [] : [quoted(`2:subcommand:(${names.join(' ')})`)]
  return `    ${name}) _arguments -s ${[...first, ...options.flatMap(argument), quoted('*:file:_files')].join(' ')} ;;\n`
}

function argument({ short, long, description, takesValue, choices }: OptionSpec): readonly string[] {
  const text = description.replaceAll(/[[\]:]/g, ' ')
  const value = !takesValue ? '' : choices.length > 0 ? `:value:(${choices.join(' ')})` : ':value:_files'
  return [...(short === undefined ? [] : [quoted(`${short}[${text}]${value}`)]), quoted(`${long}[${text}]${value}`)]
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`
