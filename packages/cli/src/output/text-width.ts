// oxlint-disable-next-line no-control-regex -- the escape character is what a style begins with
const STYLE = /\u001B\[[0-9;]*m/g

/** Columns that a text takes on a terminal: styles take none. Names of Kubernetes objects are ASCII, so each character is one. */
export const textWidth = (text: string): number => [...withoutStyle(text)].length

export const withoutStyle = (text: string): string => text.replaceAll(STYLE, '')
