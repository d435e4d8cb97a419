/** Reads what the types of Node do not declare, and may not be there. */

/** Undefined for what is no object. */
export function propertyOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
