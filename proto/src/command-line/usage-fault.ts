/** Formats a message of commander about wrong usage like our own: a line without `error:`, and without a last full stop. */
export function usageFault(text: string): string {
  return text
    .trim()
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/, ', did you mean $1')
    .replace(
      /^command-argument value ('.*') is invalid for argument ('[\w-]+')\. /s,
      'argument $2 $1 is invalid; ',
    )
    .replace(/ is invalid\. /, ' is invalid; ')
    .replace(/^(too many arguments for '[\w-]+')\. Expected/, '$1; expected')
    .replace(/\.$/, '')
}
