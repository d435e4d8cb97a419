/** Checks one identity directory: whether its files are valid, and for how long. */
import { type IdentitySnapshot, loadIdentity, type TrustedRoot } from '@clawmesh/agent-sdk/mesh'
import { ERRORS, MeshError, type SpiffeTemplate } from '@clawmesh/proto'
import { span } from '../text/time-span.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface CertificateFacts {
  readonly whose: 'gateway' | 'agent'
  readonly dir: string
  readonly loaded: IdentitySnapshot | MeshError
  readonly nowMs: number
}

const ROOT_ENDS_SOON_MS = 30 * 86_400_000
const STOPS = 'every new connection is refused by the other side'

export function checkCertificate({ whose, dir, loaded, nowMs }: CertificateFacts): CheckResult {
  const check = `${whose} certificate`
  if (loaded instanceof MeshError) return result(check, dir, unusable(whose, dir, loaded))
  const { identity, notAfter } = loaded
  const about = `${dir}: ${identity.id}, until ${notAfter.toISOString()}`
  return result(
    check,
    about,
    otherKind(whose, loaded),
    endsSoon(whose, dir, loaded, nowMs),
    ...lastOfEach(loaded.roots).map(({ notAfter: end }) => rootEnds(dir, end, nowMs)),
  )
}

export async function readCertificate(
  dir: string,
  spiffe: SpiffeTemplate,
): Promise<IdentitySnapshot | MeshError> {
  try {
    return await loadIdentity(dir, { spiffe })
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}

/** The command that issues a new one. */
export function issueAnew(whose: 'gateway' | 'agent', dir: string): string {
  const who = whose === 'gateway' ? '--name NAME --tenant TENANT' : '--tenant TENANT --agent NAME'
  return `mesh-pki issue ${whose} ${who} --out ${shellWord(dir)}`
}

function unusable(whose: 'gateway' | 'agent', dir: string, error: MeshError): Finding {
  const what = `${dir}: ${error.message}`
  switch (error.code) {
    case 'MESH_IDENTITY_EXPIRED':
      return { what, why: STOPS, todo: issueAnew(whose, dir) }
    case 'MESH_IDENTITY_NOT_YET_VALID':
      return {
        what,
        why: `${STOPS}; the clock of this machine or of the CA is wrong`,
        todo: 'timedatectl status, then set the clock right on the one that is off',
      }
    case 'MESH_IDENTITY_UNTRUSTED':
      return {
        what:
          error.message === ERRORS.MESH_IDENTITY_UNTRUSTED.meaning
            ? `${dir}: tls.crt does not chain to a root in ca.crt`
            : what,
        why: STOPS,
        // never advise to add its root: the certificate may be a stranger's
        todo: `${issueAnew(whose, dir)}; a chain that was copied by hand needs its intermediates in tls.crt`,
      }
    case 'MESH_IDENTITY_INVALID':
      return { what, why: 'nothing starts with it', todo: `mesh-pki inspect ${shellWord(dir)}` }
    default:
      return { what, why: 'nothing starts with it', todo: error.hint }
  }
}

function otherKind(whose: 'gateway' | 'agent', { identity }: IdentitySnapshot): Finding | null {
  if (identity.kind === whose) return null
  const todo =
    whose === 'gateway'
      ? 'let identity.dir name the directory of `mesh-pki issue gateway`'
      : 'let --agent name the directory of `mesh-pki issue agent`'
  const why =
    whose === 'gateway'
      ? 'agents take a server for the gateway only when its identity is a gateway’s'
      : 'only agents may delegate'
  return { what: `this is the certificate of ${identity.id}`, why, todo }
}

/** Renewal is due after two thirds of its life. */
function endsSoon(
  whose: 'gateway' | 'agent',
  dir: string,
  { notBefore, notAfter }: IdentitySnapshot,
  nowMs: number,
): Finding | null {
  const leftMs = notAfter.getTime() - nowMs
  const lifeMs = notAfter.getTime() - notBefore.getTime()
  if (leftMs > lifeMs / 3) return null
  return {
    what: `${dir}: the certificate ends in ${span(leftMs)}, at ${notAfter.toISOString()}`,
    why: `it should have been renewed at two thirds of its life; once it has ended, ${STOPS}`,
    todo: issueAnew(whose, dir),
  }
}

/** A root that was renewed with the same name and key is one root, which ends with its last certificate. */
function lastOfEach(roots: readonly TrustedRoot[]): readonly TrustedRoot[] {
  const last = new Map<string, TrustedRoot>()
  for (const root of roots) {
    const key = root.anchor ?? root.fingerprint
    const known = last.get(key)
    if (known === undefined || known.notAfter < root.notAfter) last.set(key, root)
  }
  return [...last.values()]
}

function rootEnds(dir: string, end: Date, nowMs: number): Finding | null {
  const leftMs = end.getTime() - nowMs
  if (leftMs > ROOT_ENDS_SOON_MS) return null
  return {
    what: `${dir}/ca.crt: a root ${leftMs < 0 ? 'has ended' : `ends in ${span(leftMs)}`}`,
    why: 'what it has issued is refused from then on',
    todo: 'make a new root, and put both into every ca.crt before certificates are issued from it',
  }
}
