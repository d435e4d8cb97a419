/** Fields of records read from disk, by their type. */

/** The empty text when it is absent or no text. */
export function textField(record: object, name: string): string {
  const value: unknown = Reflect.get(record, name)
  return typeof value === 'string' ? value : ''
}
