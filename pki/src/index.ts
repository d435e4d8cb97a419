/** A private certificate authority for a mesh. The serving packages never import it: they share files only. */

export type { CaCertificate, CaInfo } from './ca/ca-info.ts'
export { MIN_PASSPHRASE_LENGTH } from './ca/encrypted-key.ts'
export type { InitCaOptions } from './ca/init-ca.ts'
export { initCa } from './ca/init-ca.ts'
export type { AgentRequest, GatewayRequest, Issued, IssuedCertificate } from './ca/issue.ts'
export type { CrlRequest, IssuedCrl } from './ca/make-crl.ts'
export type { Ca, OpenCaOptions, RevokeOptions } from './ca/open-ca.ts'
export { openCa, readCaInfo, revoke } from './ca/open-ca.ts'
export type { RenewIntermediateOptions } from './ca/renew-intermediate.ts'
export { renewIntermediate } from './ca/renew-intermediate.ts'
export type { Revocation, RevocationTarget } from './ca/revoke.ts'
export type { SignOptions } from './ca/sign-csr.ts'
export type { TrustChange } from './ca/trusted-roots.ts'
export { changeTrust, readTrust } from './ca/trusted-roots.ts'
export type { WritableIdentity } from './identity/write-identity.ts'
export { writeIdentity } from './identity/write-identity.ts'
export type { RevocationReason } from './revocation/reasons.ts'
export type { RevokedRecord } from './revocation/revoked-records.ts'
export type { Check, CheckName } from './verify/check-chain.ts'
export type {
  CertificateFacts,
  Inspection,
  KeyFacts,
  RequestFacts,
} from './verify/inspect-path.ts'
export { inspectPath } from './verify/inspect-path.ts'
export type { Verification, VerifyOptions } from './verify/verify-path.ts'
export { verifyPath } from './verify/verify-path.ts'
