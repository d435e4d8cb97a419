/** Durations are counted by a clock that nobody sets. */
import { faultyLines, isTypeScript, packageOf, type SourceFile } from '../repository-files.ts'
import { stripCommentsAndStrings } from '../strip-source.ts'

/** Files and folders that compare the time with one from outside: the end of a certificate, the time of a file. */
const TIMES_FROM_OUTSIDE: readonly string[] = [
  'mesh-gateway/src/cli/keys.ts',
  'mesh-gateway/src/delegation/upstream/session.ts',
  'mesh-gateway/src/egress/own-endpoints/own-endpoints.ts',
  'mesh-gateway/src/egress/client/port-certificate.ts',
  'mesh-gateway/src/revocation/list-reader.ts',
  'mesh-gateway/src/files/read-changed.ts',
  // says how long what it made is good for
  'pki/src/cli/',
  'pki/src/identity/write-identity.ts',
  // a deadline of grpc-js is a date
  'agent-sdk/src/client/connection.ts',
  'agent-sdk/src/client/retry-unary.ts',
  'agent-sdk/src/agent/keep-connected.ts',
  'mesh-gateway/src/delegation/mcp/inner-call.ts',
  // when the process began, which uptime says by the monotonic clock
  'mesh-gateway/src/admin/describe-gateway.ts',
  'mesh-gateway/src/telemetry/process-metrics.ts',
  'mesh-gateway/src/workers/collect-reports.ts',
]

export function durationFaults(file: SourceFile): string[] {
  if (!isTypeScript(file.path) || packageOf(file.path) === null) return []
  if (TIMES_FROM_OUTSIDE.some((path) => file.path.startsWith(path))) return []
  return faultyLines(
    file,
    stripCommentsAndStrings(file.text),
    /\bDate\.now\(\)\s*(?:[-+<]|>)|(?:[-+<]|(?<!=)>)=?\s*Date\.now\(\)/,
    'counts a duration by the clock that can be set: use performance.now()',
  )
}
