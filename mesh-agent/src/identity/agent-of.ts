/** Which agent an identity directory is for, as its certificate names it. Proves nothing: it says where files of that agent are. */
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { readTrustDomain, readWhole } from '@clawmesh/agent-sdk/mesh'
import { type AgentIdentity, createSpiffeTemplate, MeshError } from '@clawmesh/proto'

const MAX_BYTES = 256 * 1024

/** @throws MeshError MESH_IDENTITY_UNREADABLE, INVALID, AMBIGUOUS, MALFORMED or NOT_AGENT */
export async function agentOf(dir: string): Promise<AgentIdentity> {
  const trustDomain = await readTrustDomain(dir)
  const pem = await readWhole(join(dir, 'tls.crt'), { maxBytes: MAX_BYTES })
  const names = new X509Certificate(pem).subjectAltName ?? ''
  const [, id = ''] = /(?:^|, )URI:(spiffe:\/\/[^\s,"]+)/.exec(names) ?? []
  const identity = createSpiffeTemplate({ trustDomain }).parse(id)
  if (identity?.kind === 'agent') return identity
  throw new MeshError('MESH_IDENTITY_NOT_AGENT', `the certificate in ${dir} is not an agent's`)
}
