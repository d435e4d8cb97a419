/** The reasons for a revocation (RFC 5280, section 5.3.1) that make sense for a leaf of a mesh. */
export const REASON_CODES = Object.freeze({
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
})

export type RevocationReason = keyof typeof REASON_CODES

export function isReason(text: string): text is RevocationReason {
  return Object.hasOwn(REASON_CODES, text)
}
