/**
 * TypeScript without what is said in it: comments, and on wish the insides of strings, become spaces; line numbers stay.
 * Knows enough of the language for this repository; a slash that begins a regular expression is told from a division
 * by what comes before it.
 */
export function stripComments(text: string): string {
  return strip(text, false)
}

export function stripCommentsAndStrings(text: string): string {
  return strip(text, true)
}

const TOKEN =
  /(\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^'\\\n]|\\[\s\S])*'?|"(?:[^"\\\n]|\\[\s\S])*"?|`(?:[^`\\]|\\[\s\S])*`?)|((?<=[=(,:[!&|?{};\n]\s*|return\s+)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/)/g

function strip(text: string, strings: boolean): string {
  return text.replaceAll(TOKEN, (whole, comment?: string, string?: string, regexp?: string) => {
    if (comment !== undefined) return blank(whole)
    if (!strings) return whole
    if (string !== undefined) return whole[0] + blank(whole.slice(1, -1)) + (whole.at(-1) ?? '')
    return regexp === undefined ? whole : `/${blank(whole.slice(1, -1))}/`
  })
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ')
}
