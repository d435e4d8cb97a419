/** Names of the metadata that the mesh adds to calls. Everything under `x-mesh-` from a caller is stripped, but for the target. */
export const METADATA_PREFIX = 'x-mesh-'
/** From the caller: the peer to call, for tools that tie :authority to the TLS name. */
export const METADATA_TARGET = 'x-mesh-target'
/** To the callee: the SPIFFE ID of the caller. */
export const METADATA_CALLER = 'x-mesh-caller'
/** To the callee: the tenant of the caller. */
export const METADATA_TENANT = 'x-mesh-tenant'
/**
 * The signed chain of delegation. To the callee of a task; from an agent that acts for the task; and from the callee in the head
 * of its answer to a call about the task, so that the gateway knows which tree that call is part of.
 */
export const METADATA_DELEGATION = 'x-mesh-delegation'
/** From the caller: the id it gave the delegation, for the audit record. */
export const METADATA_DELEGATION_ID = 'x-mesh-delegation-id'
/** Both ways: the mark of the replica of the callee that holds a delegation. Shown again in calls about it. */
export const METADATA_REPLICA = 'x-mesh-replica'
/** From the caller: host patterns, separated by commas, that the chain is narrowed to from here on. */
export const METADATA_NARROW_DESTINATIONS = 'x-mesh-narrow-destinations'
/** From the caller: scopes, separated by spaces, that the chain is narrowed to from here on. */
export const METADATA_NARROW_SCOPE = 'x-mesh-narrow-scope'
/**
 * From the caller: when the task that the call starts must have ended, in whole milliseconds since the epoch, as decimal digits.
 * The delegation token of the task ends with it. It can only shorten the life that the token has without it.
 */
export const METADATA_TASK_DEADLINE = 'x-mesh-task-deadline'
/** To the caller, in the head of an answer: the id of the tree that the call is part of, `root_id` of the audit log. */
export const METADATA_ROOT_ID = 'x-mesh-root-id'
export const METADATA_REQUEST_ID = 'x-request-id'
/** W3C Trace Context, section 3.2. */
export const METADATA_TRACEPARENT = 'traceparent'
/** W3C Trace Context, section 3.3: means something only beside the traceparent that it came with. */
export const METADATA_TRACESTATE = 'tracestate'
/**
 * Of the gateway's own refusals: their code, as a header of the egress port's answers and as metadata of a gRPC status. Nothing
 * from a destination or a callee passes under this name, so it tells the gateway's words from theirs.
 */
export const HEADER_REFUSAL = 'x-mesh-refusal'
/** google.rpc.Status, base64 in trailers. */
export const METADATA_STATUS_DETAILS = 'grpc-status-details-bin'
