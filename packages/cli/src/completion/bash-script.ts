import type { CommandSpec, OptionSpec } from './command-specs.js'

/** A completion script for bash 4 and later: commands, options and their values; file names everywhere else. */
export function bashScript(commands: readonly CommandSpec[]): string {
  return `# pointsman completion for bash: source <(pointsman completion bash)
_pointsman() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command="" subcommand="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      -*) ;;
      *) if [[ -z $command ]]; then command=$word; elif [[ -z $subcommand ]]; then subcommand=$word; fi ;;
    esac
  done
  local words=""
  case $command in
    "") words="${commands.map(({ name }) => name).join(' ')} --help --version" ;;
${commands.map(commandCase).join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _pointsman pointsman
`
}

function commandCase({ name, options, subcommands }: CommandSpec): string {
  const values = options.filter(({ choices }) => choices.length > 0)
  const words = [...subcommands.map((subcommand) => subcommand.name), ...options.flatMap(spellings)].join(' ')
  return `    ${name})
      case $previous in
${values.map((option) => `        ${spellings(option).join('|')}) words="${option.choices.join(' ')}" ;;\n`).join('')}${valueCase(options)}        *) words="${words}" ;;
      esac ;;
`
}

/** Other values are file names, which is what bash completes where there are no words. */
function valueCase(options: readonly OptionSpec[]): string {
  const free = options.filter(({ takesValue, choices }) => takesValue && choices.length === 0).flatMap(spellings)
  return free.length === 0 ? '' : `        ${free.join('|')}) ;;\n`
}

const spellings = ({ short, long }: OptionSpec): readonly string[] => (short === undefined ? [long] : [short, long])
