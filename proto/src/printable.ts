/** Makes untrusted text (of a tenant's file, a certificate, a peer) safe for a terminal and a log. */

/** Controls, marks that turn the direction of text (bidirectional controls), and what cannot be seen. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const WITHIN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** One line: each character that moves the cursor, begins a line or reorders what stands around it becomes `?`. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '?')
}

/** The same of lines: line feeds stay. What is put into them line by line must have been through `printable` before. */
export function printableLines(text: string): string {
  return text.replaceAll(WITHIN_LINES, '?')
}

/** JSON that reads back as the same value; such characters stand as escapes. @param indent as JSON.stringify has it; default one line */
export function printableJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replaceAll(WITHIN_LINES, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
