/**
 * A call as its request headers tell it. Reads every header once; keeps what the callee may see.
 * Nothing here says who the caller is: that is the certificate's to tell.
 */
import {
  childTrace,
  formatTraceparent,
  isUuidV7,
  METADATA_DELEGATION,
  METADATA_DELEGATION_ID,
  METADATA_NARROW_DESTINATIONS,
  METADATA_NARROW_SCOPE,
  METADATA_PREFIX,
  METADATA_REPLICA,
  METADATA_REQUEST_ID,
  METADATA_TARGET,
  METADATA_TASK_DEADLINE,
  METADATA_TRACEPARENT,
  MeshError,
  parseTraceparent,
  startTrace,
  type TraceContext,
  uuidV7,
} from '@clawmesh/proto'
import { isRequestId, requestIdOf } from '../audit/request-facts.ts'
import { startsTask } from '../policy/decide/task-methods.ts'
import { parseGrpcTimeout } from './carry/grpc-timeout.ts'
import { fieldOnce, GIVEN_TWICE } from './field-values.ts'

export interface Call {
  /** `/package.Service/Method` */
  readonly path: string
  /** `package.Service/Method` */
  readonly method: string
  /** The peer name asked for, as sent, but for the gateway's own port in `:authority`. */
  readonly target: string
  /** Milliseconds from the arrival of the call; null without a deadline. */
  readonly timeoutMs: number | null
  readonly requestId: string
  readonly trace: TraceContext
  readonly chain: ChainHeaders
  /** Of the delegation that the call begins or is about: the caller's id, or one made here where a task begins without; else null. */
  readonly delegationId: string | null
  /** Names and values in turn: what goes on to the callee as it came. */
  readonly metadata: readonly string[]
}

/** What the caller says of the chain it acts in. The token is signed; the rest can only narrow, or is for the record. */
export interface ChainHeaders {
  /** The delegation token that came with the task the caller works on; null where a chain begins. */
  readonly token: string | null
  /** The caller's own id of the delegation. */
  readonly delegationId: string | null
  /** The mark of the replica that holds it, as the gateway gave it. */
  readonly replica: string | null
  /** Null does not narrow. */
  readonly destinations: readonly string[] | null
  readonly scope: readonly string[] | null
  /** When the task must have ended, milliseconds since the epoch; null when the caller does not say. */
  readonly deadlineMs: number | null
}

const NO_CHAIN: ChainHeaders = Object.freeze({
  token: null,
  delegationId: null,
  replica: null,
  destinations: null,
  scope: null,
  deadlineMs: null,
})

const PATH = /^\/[A-Za-z_][\w.]*\/[A-Za-z_]\w*$/
const REPLICA = /^[\w-]{16}$/
/** Up to the year 2286: what a `Date` and the seconds of a JWT can say. */
const TIME_MS = /^\d{1,13}$/

/**
 * True of a request that is gRPC at all; any other gets a plain HTTP answer.
 * @throws MeshError MESH_ROUTE_MALFORMED when it says twice what it carries
 */
export function isGrpc(rawHeaders: readonly string[]): boolean {
  const contentType = fieldOnce(rawHeaders, 'content-type')
  if (contentType === GIVEN_TWICE) throw givenTwice('content-type')
  if (contentType === null || fieldOnce(rawHeaders, ':method') !== 'POST') return false
  return /^application\/grpc(?:$|[+;])/.test(contentType)
}

/**
 * @param ownPort that the client has connected to, with its colon: clients put it into `:authority`, and mean the gateway by it
 * @throws MeshError MESH_ROUTE_MALFORMED
 */
export function readCall(rawHeaders: readonly string[], ownPort = ''): Call {
  let path = ''
  let authority = ''
  let target: string | undefined
  let timeout: string | undefined
  let requestId: string | undefined
  let traceparent: string | undefined
  let chain = NO_CHAIN
  const metadata: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    switch (name) {
      case ':path':
        path = value
        break
      case ':authority':
        authority = value
        break
      case METADATA_TARGET:
        if (target !== undefined) throw givenTwice(METADATA_TARGET)
        target = value
        break
      case 'grpc-timeout':
        if (timeout !== undefined) throw givenTwice('grpc-timeout')
        timeout = value
        break
      case METADATA_REQUEST_ID:
        if (requestId === undefined || !isRequestId(requestId)) requestId = value
        break
      case METADATA_TRACEPARENT:
        traceparent = value
        break
      case 'te':
      // DATA frames tell their length; a false one would end the connection to the callee
      case 'content-length':
      case 'host':
      // what proxies in front of proxies say of a certificate: a service behind Envoy would believe the caller
      case 'x-forwarded-client-cert':
        break
      default:
        // what the mesh says about a caller, the mesh alone says
        if (name.startsWith(METADATA_PREFIX)) chain = readChainHeader(chain, name, value)
        else if (!name.startsWith(':')) metadata.push(name, value)
    }
  }
  if (!PATH.test(path) || path.length > 512)
    throw malformed('the path is not /package.Service/Method', HINTS.path)
  const timeoutMs = timeout === undefined ? null : parseGrpcTimeout(timeout)
  if (timeout !== undefined && timeoutMs === null)
    throw malformed('grpc-timeout is malformed', HINTS.timeout)
  const parent = parseTraceparent(traceparent)
  return {
    path,
    method: path.slice(1),
    target: target ?? withoutPort(authority, ownPort),
    timeoutMs,
    requestId: requestIdOf(requestId),
    trace: parent === null ? startTrace() : childTrace(parent),
    chain,
    delegationId: chain.delegationId ?? (startsTask(path.slice(1)) ? uuidV7() : null),
    metadata,
  }
}

/** What the callee is told about the call by the gateway, names and values in turn. */
export function meshMetadata(call: Call, callerId: string, tenant: string): string[] {
  return [
    'x-mesh-caller',
    callerId,
    'x-mesh-tenant',
    tenant,
    METADATA_REQUEST_ID,
    call.requestId,
    METADATA_TRACEPARENT,
    formatTraceparent(call.trace),
  ]
}

function readChainHeader(chain: ChainHeaders, name: string, value: string): ChainHeaders {
  switch (name) {
    case METADATA_DELEGATION:
      if (chain.token !== null) throw givenTwice(METADATA_DELEGATION)
      return { ...chain, token: value }
    case METADATA_DELEGATION_ID:
      return isUuidV7(value) ? { ...chain, delegationId: value } : chain
    case METADATA_REPLICA:
      return REPLICA.test(value) ? { ...chain, replica: value } : chain
    case METADATA_NARROW_DESTINATIONS:
      return { ...chain, destinations: [...(chain.destinations ?? []), ...words(value, ',')] }
    case METADATA_TASK_DEADLINE:
      if (chain.deadlineMs !== null) throw givenTwice(METADATA_TASK_DEADLINE)
      // a deadline that cannot be read must not become none
      if (!TIME_MS.test(value))
        throw malformed(`${METADATA_TASK_DEADLINE} is malformed`, HINTS.taskDeadline)
      return { ...chain, deadlineMs: Number(value) }
    case METADATA_NARROW_SCOPE:
      return { ...chain, scope: [...(chain.scope ?? []), ...words(value, ' ')] }
    default:
      return chain
  }
}

function words(list: string, separator: string): string[] {
  return list
    .split(separator)
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function withoutPort(authority: string, port: string): string {
  return port !== '' && authority.endsWith(port) ? authority.slice(0, -port.length) : authority
}

/** What to do about a header is said of that header: the hint of the code is about targets. */
const HINTS = Object.freeze({
  path: 'call /package.Service/Method, e.g. /clawmesh.delegation.v1.DelegationService/Delegate',
  timeout: 'grpc-timeout is up to eight digits and a unit, H M S m u or n: 30S, or 500m for 500 ms',
  taskDeadline: `${METADATA_TASK_DEADLINE} is a time in milliseconds since 1970, up to 13 digits`,
})

function givenTwice(name: string): MeshError {
  return malformed(`${name} is given twice`, `send ${name} once`)
}

function malformed(message: string, hint: string): MeshError {
  return new MeshError('MESH_ROUTE_MALFORMED', message, { hint })
}
