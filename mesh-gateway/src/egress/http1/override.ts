/** Header fields from which servers take another method or path than those of the request line. */
import type { Field } from './head.ts'

/** Google APIs, Rails and Symfony read the first one, OData the second. */
const OF_METHOD: ReadonlySet<string> = Object.freeze(
  new Set(['x-http-method-override', 'x-http-method', 'x-method-override']),
)
/** IIS, and what ran behind it: Symfony, Zend. */
const OF_PATH: ReadonlySet<string> = Object.freeze(new Set(['x-original-url', 'x-rewrite-url']))

/** The name of the first such field; null without one. A field that repeats the method replaces nothing. */
export function overrideOf(fields: readonly Field[], method: string): string | null {
  for (const { name, value } of fields) {
    if (!name.startsWith('x')) continue
    // CGI and WSGI make one of the two
    const meant = name.replaceAll('_', '-')
    if (OF_PATH.has(meant)) return meant
    if (OF_METHOD.has(meant) && value.toUpperCase() !== method) return meant
  }
  return null
}
