/**
 * Who may speak to the MCP door over HTTP: a program of this machine that can read the secret. A page in a browser cannot, by whatever
 * name it reached the port (DNS rebinding): its Host or its Origin gives it away, and it does not know the secret.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Secret } from '@clawmesh/proto'

export interface GateOptions {
  readonly port: number
  readonly secret: Secret
  /** Origins that may call besides programs, which send none. */
  readonly origins: readonly string[]
}

export interface GateRefusal {
  readonly status: 401 | 403
  readonly message: string
}

/** @returns null when the request may pass */
export function judgeRequest(
  { headers }: IncomingMessage,
  { port, secret, origins }: GateOptions,
): GateRefusal | null {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]
  if (!hosts.includes(headers.host?.toLowerCase() ?? ''))
    return { status: 403, message: 'the header Host names another server' }
  const { origin } = headers
  if (origin !== undefined && !origins.includes(origin))
    return { status: 403, message: 'web pages may not call this server' }
  const [, given = ''] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  if (!isSame(given, secret))
    return { status: 401, message: 'the header Authorization must be "Bearer " and the secret' }
  return null
}

/** Takes the same time for each wrong one. */
function isSame(given: string, secret: Secret): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(secret.reveal()))
}
