/** Checks the revocation lists of CAs: with an outdated one, every certificate of its CA is refused. */
import { describeFileFault, type IdentitySnapshot, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { MAX_CRL_FILE_BYTES, readCrls } from '../revocation/crl-file.ts'
import { span } from '../text/time-span.ts'
import { type CheckResult, result, shellWord } from './finding.ts'

export interface RevocationListFacts {
  readonly file: string
  /** The nextUpdate of each list with one; a string says why the lists are unusable. */
  readonly lists: readonly Date[] | string
  /** How the gateway treats outdated lists. */
  readonly stale: 'refuse' | 'keep'
  readonly nowMs: number
}

export function checkRevocationLists(facts: RevocationListFacts): CheckResult {
  const { file, lists, stale, nowMs } = facts
  const todo = `mesh-pki crl, on the machine of the CA, then copy the list to ${shellWord(file)}`
  if (typeof lists === 'string')
    return result('revocation', file, {
      what: `${file}: ${lists}`,
      why: 'a gateway that starts refuses to; one that runs keeps the lists that it had',
      todo,
    })
  const late = lists.filter((due) => due.getTime() < nowMs)
  const why =
    stale === 'refuse'
      ? 'every certificate of that CA is refused until there is a new list'
      : 'what was revoked since is accepted'
  return result(
    'revocation',
    `${file}: ${lists.length === 1 ? '1 list' : `${lists.length} lists`}`,
    ...late.map((due) => ({
      what: `${file}: a list is out of date since ${span(nowMs - due.getTime())}`,
      why,
      todo,
    })),
  )
}

export async function readRevocationLists(
  file: string,
  identity: IdentitySnapshot,
): Promise<RevocationListFacts['lists']> {
  try {
    const lists = readCrls(
      await readWhole(file, { maxBytes: MAX_CRL_FILE_BYTES }),
      identity,
      new Map(),
    )
    return [...lists.values()].flatMap(({ nextUpdate }) => nextUpdate ?? [])
  } catch (error) {
    return error instanceof MeshError
      ? error.message
      : `cannot be read (${describeFileFault(error)})`
  }
}
