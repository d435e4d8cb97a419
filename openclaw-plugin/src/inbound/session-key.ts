/**
 * The conversation of OpenClaw that a task is served in: one for each task. Tenant and agent of the caller are part of it, by the
 * identity in its certificate, so no caller enters the conversation of another, whatever it sends.
 */
import { createHash } from 'node:crypto'
import type { AgentIdentity } from '@clawmesh/agent-sdk'

export interface ServedSession {
  readonly sessionKey: string
  /** A UUID, the same for the same key. */
  readonly sessionId: string
}

const OURS = /^agent:[^:]+:clawmesh:/

export function sessionOf(agentId: string, caller: AgentIdentity, taskId: string): ServedSession {
  // OpenClaw writes keys in lower case, which would make two callers one: the digest tells them apart
  const name = `${caller.tenant}.${caller.agent}`.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-')
  const sessionKey = [
    ...['agent', agentId.toLowerCase(), 'clawmesh', name],
    ...[digest(caller.id).slice(0, 16), digest(JSON.stringify([caller.id, taskId])).slice(0, 32)],
  ].join(':')
  return Object.freeze({ sessionKey, sessionId: uuidOf(sessionKey) })
}

/** True for the conversations of callers of the mesh, of which an agent's own turns never are. */
export function isServedSession(sessionKey: string | undefined): boolean {
  return sessionKey !== undefined && OURS.test(sessionKey)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** As RFC 9562, section 5.8, makes UUIDs of one's own. */
function uuidOf(text: string): string {
  const hex = digest(`session:${text}`)
  const variant = ((Number.parseInt(hex.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(18, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}
