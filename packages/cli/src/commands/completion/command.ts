import { Argument, type Command } from 'commander'
import type { Context } from '../../context.js'
import { withExamples } from '../../output/format-text.js'

/** A completion script for bash 4 and later: commands, options and their values; file names everywhere else. */
function bashScript(commands: readonly CommandSpec[]): string {
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
${commands.map(bashCase).join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _pointsman pointsman
`
}

function bashCase({ name, options, subcommands }: CommandSpec): string {
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

/** A completion script for zsh. */
function zshScript(commands: readonly CommandSpec[]): string {
  return `#compdef pointsman
# pointsman completion for zsh: pointsman completion zsh > "\${fpath[1]}/_pointsman"
_pointsman() {
  local -a commands=(
${commands.map(({ name, summary }) => `    ${zshQuoted(`${name}:${summary}`)}\n`).join('')}  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  case $words[2] in
${commands.map(zshCase).join('')}  esac
}
if [[ $funcstack[1] == _pointsman ]]; then _pointsman "$@"; else compdef _pointsman pointsman; fi
`
}

function zshCase({ name, options, subcommands }: CommandSpec): string {
  const names = subcommands.map((subcommand) => subcommand.name)
  const first = names.length === 0 ? [] : [zshQuoted(`2:subcommand:(${names.join(' ')})`)]
  return `    ${name}) _arguments -s ${[...first, ...options.flatMap(argument), zshQuoted('*:file:_files')].join(' ')} ;;\n`
}

function argument({ short, long, description, takesValue, choices }: OptionSpec): readonly string[] {
  const text = description.replaceAll(/[[\]:]/g, ' ')
  const value = !takesValue ? '' : choices.length > 0 ? `:value:(${choices.join(' ')})` : ':value:_files'
  return [
    ...(short === undefined ? [] : [zshQuoted(`${short}[${text}]${value}`)]),
    zshQuoted(`${long}[${text}]${value}`),
  ]
}

const zshQuoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** A completion script for fish. */
function fishScript(commands: readonly CommandSpec[]): string {
  return `# pointsman completion for fish: pointsman completion fish > ~/.config/fish/completions/pointsman.fish
${commands.flatMap(commandLines).join('\n')}
`
}

function commandLines({ name, summary, options, subcommands }: CommandSpec): readonly string[] {
  const seen = `-n ${fishQuoted(`__fish_seen_subcommand_from ${name}`)}`
  return [
    `complete -c pointsman -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`,
    ...subcommands.map(
      (subcommand) => `complete -c pointsman ${seen} -a ${subcommand.name} -d ${fishQuoted(subcommand.summary)}`,
    ),
    ...options.map((option) => `complete -c pointsman ${seen} ${optionWords(option)}`),
  ]
}

function optionWords({ short, long, description, takesValue, choices }: OptionSpec): string {
  const value = choices.length > 0 ? ` -x -a ${fishQuoted(choices.join(' '))}` : takesValue ? ' -r' : ''
  return `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}${value} -d ${fishQuoted(description)}`
}

const fishQuoted = (text: string): string =>
  `'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`

export function registerCompletion(program: Command, context: Context): void {
  const command = program
    .command('completion')
    .summary('print a completion script for your shell')
    .description('Prints a script that lets bash, zsh or fish complete commands, options and their values.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
    .action((shell: string) => {
      const script = SCRIPTS[shell]
      if (script !== undefined) context.stdout.print(script(commandSpecs(program)).trimEnd().split('\n'))
    })
  withExamples(command, [
    'source <(pointsman completion bash)',
    'pointsman completion zsh > "${fpath[1]}/_pointsman"',
    'pointsman completion fish > ~/.config/fish/completions/pointsman.fish',
  ])
}

const SCRIPTS: Readonly<Record<string, (commands: readonly CommandSpec[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

interface OptionSpec {
  /** `-o`; absent where there is none. */
  readonly short?: string
  /** `--output`. */
  readonly long: string
  readonly description: string
  readonly takesValue: boolean
  readonly choices: readonly string[]
}

interface CommandSpec {
  readonly name: string
  readonly summary: string
  readonly options: readonly OptionSpec[]
  readonly subcommands: readonly CommandSpec[]
}

/** What there is to complete, read from the program itself. */
function commandSpecs(program: Command): readonly CommandSpec[] {
  return program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary() === '' ? firstSentence(command.description()) : command.summary(),
    options: [
      ...command.options.map((option): OptionSpec => ({
        long: option.long ?? option.flags,
        description: firstSentence(option.description),
        takesValue: option.required || option.optional,
        choices: option.argChoices ?? [],
        ...(option.short !== undefined && { short: option.short }),
      })),
      { short: '-h', long: '--help', description: 'print the help', takesValue: false, choices: [] },
    ],
    subcommands: commandSpecs(command),
  }))
}

const firstSentence = (text: string): string => text.split(/[.:;(]/)[0]?.trim() ?? text
