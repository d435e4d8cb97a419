/** Checks the gateway's own revocation list: without it no gateway starts, and a full one leaves agents no room. */
import { MeshError } from '@clawmesh/proto'
import { readIndex } from '../revocation/list-file.ts'
import { SHARES, type Shares } from '../revocation/revoked-index.ts'
import { type CheckResult, result } from './finding.ts'

export interface OwnListFacts {
  readonly file: string
  /** The number of its entries; an error: why it cannot be used. */
  readonly list: { readonly entries: number; readonly byAgents: number } | MeshError
  /** Default SHARES. */
  readonly shares?: Shares
}

/** The part of a share above which the doctor warns. */
const NEARLY = 0.8

export function checkOwnList(facts: OwnListFacts): CheckResult {
  const { file, list, shares = SHARES } = facts
  if (list instanceof MeshError)
    return result('revocations', file, {
      what: list.message,
      why: 'a gateway that starts refuses to; one that runs goes by the list that it had, and nothing more can be revoked',
      todo: list.hint,
    })
  const { entries, byAgents } = list
  const crowded =
    byAgents < shares.all * NEARLY
      ? null
      : {
          what: `${byAgents} of ${shares.all} tokens that agents may have revoked at one time are`,
          why: 'soon agents can revoke no more tokens; operators still can',
          todo: 'see with `mesh-gateway revoke --list` which agents they are of; revoke an agent that does it without need',
        }
  return result('revocations', `${file}: ${entries} entries, ${byAgents} by agents`, crowded)
}

export async function readOwnList(file: string): Promise<OwnListFacts['list']> {
  try {
    const { size, byAgents } = await readIndex(file)
    return { entries: size, byAgents }
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}
