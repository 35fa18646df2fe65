import { Argument, type Command } from 'commander'
import { bashScript } from '../completion/bash-script.js'
import { type CommandSpec, commandSpecs } from '../completion/command-specs.js'
import { fishScript } from '../completion/fish-script.js'
import { zshScript } from '../completion/zsh-script.js'
import type { Context } from '../context.js'
import { withExamples } from '../output/with-examples.js'

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
