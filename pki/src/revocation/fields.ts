/** Reads typed fields of records from disk. */

/** The empty string when it is absent or not a string. */
export function textField(record: object, name: string): string {
  const value: unknown = Reflect.get(record, name)
  return typeof value === 'string' ? value : ''
}
