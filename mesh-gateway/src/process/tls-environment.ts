/**
 * NODE_TLS_REJECT_UNAUTHORIZED=0 turns certificate checks off in every TLS client of a Node process that does not ask for them by name.
 * All of ours ask; a process that hands out trust does not run beside a variable that says the opposite.
 */
import { MeshError } from '@clawmesh/proto'

type Environment = Readonly<Record<string, string | undefined>>

/** Only `0` turns checks off: so Node reads it. */
export function turnsTlsChecksOff(env: Environment): boolean {
  return env.NODE_TLS_REJECT_UNAUTHORIZED === '0'
}

/** @throws MeshError MESH_CONFIG_INVALID when the environment turns TLS checks off */
export function refuseWithoutTlsChecks(env: Environment): void {
  if (!turnsTlsChecksOff(env)) return
  throw new MeshError(
    'MESH_CONFIG_INVALID',
    'NODE_TLS_REJECT_UNAUTHORIZED is 0: it turns the checks of certificates off',
    { hint: 'unset it; a private CA belongs into egress.ca or limits.redis.caFile' },
  )
}
