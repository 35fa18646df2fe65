/** What an error says, in one line. */
export const describeError = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/(?<!\s)\s*\n\s*/g, '; ')
