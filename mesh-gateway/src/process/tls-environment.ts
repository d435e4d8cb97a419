/**
 * NODE_TLS_REJECT_UNAUTHORIZED=0 turns certificate checks off in every TLS client of a Node process that does not
 * request them explicitly. All clients of the gateway do; still, a process that issues trust must not run with it.
 */
import { MeshError } from '@clawmesh/proto'

type Environment = Readonly<Record<string, string | undefined>>

/** Only `0` turns checks off: Node reads it so. */
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
