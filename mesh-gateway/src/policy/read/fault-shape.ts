/** The shape of a fault of policy. Nothing is imported here: the page of the console reads it too. */

export interface PolicyFault {
  /** Name within the directory; the directory itself when it cannot be read. */
  readonly file: string
  /** JSON pointer (RFC 6901); empty for the whole file. */
  readonly pointer: string
  /** From 1; null where the file cannot be read. */
  readonly line: number | null
  readonly column: number | null
  readonly message: string
}
