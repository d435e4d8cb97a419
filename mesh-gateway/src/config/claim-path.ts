/** The path of a claim in a token: a name at the top, or a JSON pointer (RFC 6901) to a nested one. Pure. */

/** A sentence that says what is wrong with the path; null when it is valid. */
export function claimPathFault(text: string): string | null {
  if (text.length === 0) return 'must not be empty'
  if (text.length > 200) return 'must have 200 characters at most'
  return text.startsWith('/') && /~(?![01])/.test(text)
    ? 'is no JSON pointer: ~ is written ~0 in one, and / within a name ~1'
    : null
}

/** `tenant` → one name; `/kubernetes.io/namespace` → two. */
export function parseClaimPath(text: string): readonly string[] {
  if (!text.startsWith('/')) return [text]
  return text
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Undefined when there is none. Properties inherited from the prototype do not count. */
export function claimAt(payload: object, path: readonly string[]): unknown {
  let current: unknown = payload
  for (const name of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name))
      return undefined
    current = Reflect.get(current, name)
  }
  return current
}
