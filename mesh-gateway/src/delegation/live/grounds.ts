/** What a call was let through for, out of its story. */
import { actorsOf } from '@clawmesh/proto'
import { startsTask } from '../chain/task-starting.ts'
import type { Story } from '../story.ts'
import type { UpstreamSession } from '../upstream/session.ts'
import type { Grounds } from './live-streams.ts'

const NOBODY: readonly string[] = Object.freeze([])
/** Streams of events with sequence numbers: Watch goes on after the last one seen. */
const WITH_CURSOR: ReadonlySet<string> = new Set([
  'clawmesh.delegation.v1.DelegationService/Delegate',
  'clawmesh.delegation.v1.DelegationService/Watch',
])

/** @param begun a call that has not begun is refused, and there is nothing to resume */
export function groundsOf(story: Story, session: UpstreamSession, begun: boolean): Grounds {
  const { certificate, route, link, call } = story
  if (certificate === null || call === null) throw new TypeError('story: the call is not known yet')
  const { identity } = certificate
  const { method } = call
  // a chain that begins with this call is not one that the caller acts within
  const withinChain = link !== null && (link.hop > 1 || !startsTask(method))
  return {
    caller: certificate,
    callee: session.certificate,
    question:
      route?.kind === 'peer' && identity.kind === 'agent'
        ? { caller: identity, callee: route.peer, method, withinChain }
        : null,
    txn: link?.txn ?? null,
    actors: link === null ? NOBODY : actorsOf(link.act),
    resumable: begun && WITH_CURSOR.has(method),
  }
}
