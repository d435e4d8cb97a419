/**
 * Each TLS client of the packages says by itself that it checks certificates: what is left out, NODE_TLS_REJECT_UNAUTHORIZED
 * in the environment may decide.
 */
import { isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { stripCommentsAndStrings } from '../strip-source.ts'

/** Calls, and the literal that an option named `tls` is given, as ioredis takes it. */
const CLIENTS =
  /\b(?:tls\.connect|connectTls|buildConnector|https\.(?:get|request))\s*\(|\btls\s*:\s*\{/g
const CHECKS = /\brejectUnauthorized\s*:\s*true\b|\.\.\.clientTlsOptions\(/

export function tlsClientFaults(file: SourceFile): string[] {
  if (!isTypeScript(file.path) || packageOf(file.path) === null) return []
  const code = stripCommentsAndStrings(file.text)
  return [...code.matchAll(CLIENTS)].flatMap(({ 0: call, index }) => {
    const from = index + call.length
    if (CHECKS.test(code.slice(from, endOf(code, from)))) return []
    const line = code.slice(0, index).split('\n').length
    return [`${file.path}:${line}: does not say rejectUnauthorized: true`]
  })
}

/** Where the bracket that is open at `from` closes. */
function endOf(code: string, from: number): number {
  let depth = 1
  for (let at = from; at < code.length; at += 1) {
    if ('([{'.includes(code.charAt(at))) depth += 1
    if (')]}'.includes(code.charAt(at))) depth -= 1
    if (depth === 0) return at
  }
  return code.length
}
