/** Text that somebody else wrote, made safe for a terminal and a log. */

/** Controls, marks that turn the direction of text (bidirectional controls), and what cannot be seen. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Each character that moves the cursor, begins a line or reorders what stands around it becomes `?`. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '?')
}

/** JSON on one line that reads back as the same value; such characters stand as escapes. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(UNPRINTABLE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
