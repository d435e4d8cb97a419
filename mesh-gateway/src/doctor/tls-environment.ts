/** Checks for the variable that turns certificate checks off in every Node program started here. */
import { turnsTlsChecksOff } from '../process/tls-environment.ts'
import { type CheckResult, result } from './finding.ts'

export function checkTlsEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): CheckResult {
  if (!turnsTlsChecksOff(env)) return result('TLS variables', 'checks of certificates are on')
  return result('TLS variables', 'NODE_TLS_REJECT_UNAUTHORIZED', {
    what: 'NODE_TLS_REJECT_UNAUTHORIZED is 0',
    why: 'the gateway does not start, and other Node programs started here believe any server',
    todo: 'unset NODE_TLS_REJECT_UNAUTHORIZED, and find out what has set it',
  })
}
