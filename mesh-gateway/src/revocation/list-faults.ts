/** The faults of the gateway's own revocation list, each with a safe hint: none of them admits a revoked agent. */
import { describeFileFault } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'

const MEND =
  'put back the last good one, which a gateway that runs goes by until then; none starts with this one'

/** A configured list must exist: without it everything that it revokes would be admitted. */
export function missingList(path: string): MeshError {
  return new MeshError('MESH_REVOCATION_MISSING', `there is no list of revocations ${path}`, {
    hint: `put back the one that was there: without it everything that it revokes would be let in. Where there never was one, \`mesh-gateway revoke --new\` begins it`,
  })
}

/** @param what e.g. `line 7 is not JSON` */
export function brokenList(path: string, what: string, cause?: unknown): MeshError {
  return new MeshError('MESH_REVOCATION_INVALID', `${path}: ${what}`, { hint: MEND, cause })
}

/** An older copy of the list in use, or another list that was created before it. */
export function olderList(path: string): MeshError {
  return new MeshError(
    'MESH_REVOCATION_INVALID',
    `${path} is older than the list in use, or another one: what it revokes is refused as well, and nothing is let in again for it`,
    {
      hint: 'put back the newest copy; a gateway that starts goes by what is there',
    },
  )
}

export function unreadableList(path: string, cause: unknown): MeshError {
  const why = describeFileFault(cause)
  return new MeshError('MESH_REVOCATION_INVALID', `cannot read ${path} (${why})`, {
    hint: MEND,
    cause,
  })
}
