/** Reads and sets values of JSON objects by dotted keys. */

export function valueOfKey(value: unknown, key: string): unknown {
  let current = value
  for (const part of key.split('.')) {
    if (!isObject(current) || !Object.hasOwn(current, part)) return undefined
    current = current[part]
  }
  return current
}

/** Does nothing where a section on the way is no object. */
export function setKey(target: Record<string, unknown>, key: string, value: unknown): void {
  const parts = key.split('.')
  const last = parts.pop() ?? ''
  let current = target
  for (const part of parts) {
    const next = Object.hasOwn(current, part) ? current[part] : undefined
    if (isObject(next)) {
      current = next
    } else if (next === undefined || next === null) {
      const made: Record<string, unknown> = {}
      current[part] = made
      current = made
    } else return // the section is no object: the schema reports it
  }
  current[last] = value
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
