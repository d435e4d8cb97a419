/** Checks whether gateway and agent trust each other: the root of each must be in ca.crt of the other. */
import { X509Certificate } from 'node:crypto'
import type { IdentitySnapshot, TrustedRoot } from '@clawmesh/agent-sdk/mesh'
import { issueAnew } from './certificate.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface Side {
  readonly dir: string
  readonly snapshot: IdentitySnapshot
}

export function checkTrustBundles(gateway: Side, agent: Side): CheckResult {
  const about = `${gateway.dir} and ${agent.dir}`
  return result(
    'trust bundles',
    about,
    missing('gateway', gateway, 'agent', agent),
    missing('agent', agent, 'gateway', gateway),
  )
}

function missing(name: string, side: Side, otherName: string, other: Side): Finding | null {
  const root = issuerOf(other.snapshot)
  if (root === null || side.snapshot.roots.some((one) => one.fingerprint === root.fingerprint))
    return null
  const theirs = shellWord(`${other.dir}/ca.crt`)
  return {
    what: `${side.dir}/ca.crt of the ${name} lacks the root ${root.fingerprint.slice(0, 16)}… that issued the certificate of the ${otherName}`,
    why: `the ${name} refuses the ${otherName}: MESH_IDENTITY_UNTRUSTED`,
    // never advise to add a root: the holder of its key could then impersonate any agent of the mesh
    todo: `${issueAnew('agent', agentDir(side, other))} on the machine of the CA of this mesh; only when you are replacing that CA yourself, put both roots into every ca.crt, after the fingerprint of ${theirs} is the one that the new CA shows`,
  }
}

function agentDir(...sides: readonly Side[]): string {
  return sides.find(({ snapshot }) => snapshot.identity.kind === 'agent')?.dir ?? 'DIR'
}

/** The root of its own bundle at which a chain ends. */
function issuerOf({ certificateChain, roots }: IdentitySnapshot): TrustedRoot | null {
  const [last] = (certificateChain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [])
    .map((pem) => new X509Certificate(pem))
    .toReversed()
  if (last === undefined) return null
  const issues = ({ pem }: TrustedRoot) => {
    const root = new X509Certificate(pem)
    return last.checkIssued(root) && last.verify(root.publicKey)
  }
  return roots.find(issues) ?? null
}
