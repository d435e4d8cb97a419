/** The `iss` that a token claims. Unverified: good for telling whose token it is, and for nothing else. */
export function unverifiedIssuer(token: string): string | null {
  const [, payload, signature, ...more] = token.split('.', 4)
  if (payload === undefined || signature === undefined || more.length > 0) return null
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null || !Object.hasOwn(claims, 'iss')) return null
    const issuer: unknown = Reflect.get(claims, 'iss')
    return typeof issuer === 'string' ? issuer : null
  } catch {
    // not a JWT, so it is somebody else's token and none of our business
    return null
  }
}
