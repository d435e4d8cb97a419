/** What can be wrong with the gateway's own list, each with a hint that is safe to follow: none of them lets anybody in. */
import { describeFileFault } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'

const MEND =
  'put back the last good one, which a gateway that runs goes by until then; none starts with this one'

/** A list that is named must be there: without it everybody that it revokes would be let in. */
export function missingList(path: string): MeshError {
  return new MeshError('MESH_REVOCATION_MISSING', `there is no list of revocations ${path}`, {
    hint: `put back the one that was there: without it everybody whom it revokes would be let in. Where there never was one, \`mesh-gateway revoke --new\` begins it`,
  })
}

/** @param what e.g. `line 7 is not JSON` */
export function brokenList(path: string, what: string, cause?: unknown): MeshError {
  return new MeshError('MESH_REVOCATION_INVALID', `${path}: ${what}`, { hint: MEND, cause })
}

/** An older copy of the list in use, or another list that was begun before it. */
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
