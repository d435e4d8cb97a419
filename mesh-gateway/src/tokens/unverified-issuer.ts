/** The `iss` that a token claims. Unverified: it only selects the verifier. */
export function unverifiedIssuer(token: string): string | null {
  const [, payload, signature, ...more] = token.split('.', 4)
  if (payload === undefined || signature === undefined || more.length > 0) return null
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null || !Object.hasOwn(claims, 'iss')) return null
    const issuer: unknown = Reflect.get(claims, 'iss')
    return typeof issuer === 'string' ? issuer : null
  } catch {
    // not a JWT, so not a token of the gateway
    return null
  }
}
