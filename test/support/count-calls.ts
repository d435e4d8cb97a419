/** Counts calls of methods: what a piece of work costs, where a time would say what the machine does besides. */

/** @returns how often the methods of the owner were called during the work */
export function countCalls(owner: object, names: readonly string[], work: () => void): number {
  let calls = 0
  const before = names.map((name) => Object.getOwnPropertyDescriptor(owner, name))
  for (const [index, name] of names.entries()) {
    const method: unknown = before[index]?.value
    if (typeof method !== 'function') throw new TypeError(`no method ${name}`)
    const value = function (this: unknown, ...args: unknown[]): unknown {
      calls += 1
      return Reflect.apply(method, this, args)
    }
    Object.defineProperty(owner, name, { value, configurable: true, writable: true })
  }
  try {
    work()
  } finally {
    for (const [index, name] of names.entries())
      Object.defineProperty(owner, name, before[index] ?? {})
  }
  return calls
}
