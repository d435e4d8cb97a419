/**
 * What a model may do about an error. The hints of the error table are for operators ("raise maxHops …"): a model that reads them
 * may try to follow them, so they go to the log, and a model reads these.
 */
import type { ErrorCode } from '../codes.ts'

const NOT_ALLOWED =
  'policy does not allow it: do not repeat it and do not look for a way around; tell your user, or choose another peer or host'
const STOP = 'stop delegating for this piece of work, and answer with what you have'
const OWN_FAULT =
  "this agent's own connection to the mesh is at fault, which you cannot repair: tell your user, who asks the operator"
const AWAY = 'it is away: try once more later, or ask another peer'
const LATER = 'wait a little, then try once more'
const CHANGE = 'change the arguments: the same call fails again'
const DESTINATION = 'this host cannot be reached that way: tell your user, or use another source'

const BY_CODE: Partial<Readonly<Record<ErrorCode, string>>> = {
  MESH_CHAIN_LOOP_DETECTED:
    'that peer waits for this very piece of work: do it yourself, or ask another peer',
  MESH_CHAIN_HOPS_EXCEEDED: 'do the work yourself: it has been handed on as often as it may be',
  MESH_CHAIN_BUDGET_EXCEEDED: STOP,
  MESH_CHAIN_REVOKED: STOP,
  MESH_CHAIN_ACTOR_REFUSED: NOT_ALLOWED,
  MESH_RATE_LIMITED: LATER,
  MESH_LIMIT_SIZE: 'send or ask for less at once',
  MESH_ROUTE_UNKNOWN: 'there is no such peer: mesh_peers names those that you may ask',
  MESH_PEER_UNRESOLVED:
    'there is no such peer, or it is away: mesh_peers names those that you may ask',
  MESH_PEER_FORBIDDEN: NOT_ALLOWED,
  MESH_PEER_REFUSED: 'the peer refused it: tell your user what it said, or choose another peer',
  MESH_PEER_UNIMPLEMENTED: 'this peer serves no skills: choose another peer',
  MESH_PEER_NOT_GRPC: 'this peer serves no skills: choose another peer',
  MESH_TASK_REQUEST_INVALID: CHANGE,
  MESH_TASK_INPUT_INVALID:
    'the input is not as the skill wants it: mesh_peers shows its form; change the input',
  MESH_PEER_UNDESCRIBED: 'the peer says nothing of its skills: ask your user which to use',
  MESH_TASK_SKILL_UNKNOWN:
    'the peer has no such skill: mesh_peers names its skills where they are known',
  MESH_TASK_NOT_FOUND:
    'the peer knows no such task of yours: the id is wrong, or the task ended long ago; delegate it again if it is still wanted',
  MESH_TASK_CONFLICT: 'the key was used for other work before: use another key',
  MESH_TASK_INPUT_UNEXPECTED: 'no such question is open: look at the status first',
  MESH_TASK_INTERRUPTED:
    'the peer was restarted while it worked: delegate it again if it is still wanted',
  MESH_TASK_FAILED:
    'the peer could not do it: read why, and change the task or choose another peer',
  MESH_TASK_CANCELED: 'it was cancelled: delegate it again only if it is still wanted',
  MESH_TASK_REJECTED:
    'the peer will not do it: do not repeat it; choose another peer, or tell your user',
  MESH_TASK_EXPIRED: 'it took longer than it may: ask for less at once',
  MESH_TASK_INPUT_EXPIRED:
    'its question was not answered in time: delegate it again if it is still wanted',
  MESH_TASK_ORPHANED: 'the peer lost it: delegate it again if it is still wanted',
  MESH_CALL_DEADLINE: LATER,
  MESH_CALL_CANCELED: 'it was cancelled: call again only if it is still wanted',
  MESH_EGRESS_MALFORMED: CHANGE,
  MESH_EGRESS_PLAINTEXT: OWN_FAULT,
  MESH_EGRESS_CLEARTEXT: 'use https instead',
  MESH_EGRESS_UNREACHABLE: LATER,
  MESH_EGRESS_LOST: LATER,
  MESH_EGRESS_TIMEOUT: LATER,
  MESH_EGRESS_SLOW: LATER,
  MESH_EGRESS_IDLE: LATER,
  MESH_TOKEN_DESTINATION: NOT_ALLOWED,
}

const BY_AREA: Readonly<Record<string, string>> = {
  IDENTITY: OWN_FAULT,
  POLICY: NOT_ALLOWED,
  CHAIN: STOP,
  REVOCATION: LATER,
  RATE: LATER,
  LIMIT: LATER,
  TOKEN: OWN_FAULT,
  ROUTE: CHANGE,
  PEER: AWAY,
  TASK: 'the peer could not do it: choose another peer, or tell your user',
  EGRESS: DESTINATION,
  GATEWAY: OWN_FAULT,
  CONFIG: OWN_FAULT,
}

/** One sentence for the model, without a full stop. */
export function adviceFor(code: ErrorCode): string {
  const [, area = ''] = code.split('_')
  return BY_CODE[code] ?? BY_AREA[area] ?? 'tell your user'
}
