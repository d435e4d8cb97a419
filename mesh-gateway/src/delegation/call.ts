/**
 * Parses a call from its request headers. Reads each header once and keeps those that the callee may see. Never takes
 * the caller's identity from a header: the certificate gives it.
 */
import {
  childTrace,
  formatTraceparent,
  isUuidV7,
  lastTraceparent,
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
  METADATA_TRACESTATE,
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
  /** The requested peer name as sent, without the gateway's own port in `:authority`. */
  readonly target: string
  /** Milliseconds from the arrival of the call; null without a deadline. */
  readonly timeoutMs: number | null
  readonly requestId: string
  readonly trace: TraceContext
  /** Of the caller's span, when it named the trace; null: the trace begins here. */
  readonly parentSpanId: string | null
  readonly chain: ChainHeaders
  /**
   * The id of the delegation that the call begins or refers to: the caller's, or a new one when a task begins without
   * an id; else null.
   */
  readonly delegationId: string | null
  /** Names and values in turn, forwarded to the callee unchanged. */
  readonly metadata: readonly string[]
}

/**
 * The chain headers of the caller. The token is signed; the other headers can only narrow authority or add to the
 * record.
 */
export interface ChainHeaders {
  /** The delegation token of the task that the caller works on; null where a chain begins. */
  readonly token: string | null
  /** The caller's own id of the delegation. */
  readonly delegationId: string | null
  /** The mark of the replica that holds the delegation, as the gateway gave it. */
  readonly replica: string | null
  /** Null does not narrow. */
  readonly destinations: readonly string[] | null
  readonly scope: readonly string[] | null
  /** The deadline of the task, milliseconds since the epoch; null without one. */
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
/** Up to the year 2286, the range of a `Date` and of the seconds of a JWT. */
const TIME_MS = /^\d{1,13}$/

/**
 * True for a gRPC request; any other request gets a plain HTTP answer.
 * @throws MeshError MESH_ROUTE_MALFORMED when the content type is given twice
 */
export function isGrpc(rawHeaders: readonly string[]): boolean {
  const contentType = fieldOnce(rawHeaders, 'content-type')
  if (contentType === GIVEN_TWICE) throw givenTwice('content-type')
  if (contentType === null || fieldOnce(rawHeaders, ':method') !== 'POST') return false
  return /^application\/grpc(?:$|[+;])/.test(contentType)
}

/**
 * @param ownPort the port that the client has connected to, with its colon: clients put it into `:authority` to mean
 *   the gateway
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
  let tracestate: string[] | null = null
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
        traceparent = lastTraceparent(traceparent, value)
        break
      case METADATA_TRACESTATE:
        tracestate = [...(tracestate ?? []), name, value]
        break
      case 'te':
      // DATA frames give the length; a false content-length would end the connection to the callee
      case 'content-length':
      case 'host':
      // proxies describe a client certificate in this header: a service behind Envoy would trust the caller's value
      case 'x-forwarded-client-cert':
        break
      default:
        // only the gateway sets `x-mesh-*` headers for the callee
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
  // of a trace that begins here it says nothing (W3C Trace Context, section 4.3)
  if (parent !== null && tracestate !== null) metadata.push(...tracestate)
  return {
    path,
    method: path.slice(1),
    target: target ?? withoutPort(authority, ownPort),
    timeoutMs,
    requestId: requestIdOf(requestId),
    trace: parent === null ? startTrace() : childTrace(parent),
    parentSpanId: parent?.parentId ?? null,
    chain,
    delegationId: chain.delegationId ?? (startsTask(path.slice(1)) ? uuidV7() : null),
    metadata,
  }
}

/** The headers in which the gateway describes the call to the callee, names and values in turn. */
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
      // a malformed deadline must not count as no deadline
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

/** Hints for malformed headers; the hint of the error code is about targets. */
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
