import { stripVTControlCharacters } from 'node:util'

/** Columns that a text takes on a terminal: styles take none. Names of Kubernetes objects are ASCII, so each character is one. */
export const textWidth = (text: string): number => [...stripVTControlCharacters(text)].length
