import type { Command } from 'commander'
import type { Context } from '../context.js'

export function registerLog(program: Command, context: Context): void {
  void program
  void context
}
