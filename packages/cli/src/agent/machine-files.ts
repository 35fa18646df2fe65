import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { MachineFiles } from './machine-settings.js'

/** This machine, or what looks like one under another root. */
export const machineFiles = (root = ''): MachineFiles => ({
  readFile: async (path) => readFile(`${root}${path}`, 'utf8'),
  writeFile: async (path, text) => writeFile(`${root}${path}`, text),
  cpus: availableParallelism(),
})
