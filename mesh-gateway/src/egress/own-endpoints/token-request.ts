/** Parses POST /v1/token: the key of a service account, and the requested scope of the token. */
import { type EgressClaims, Secret } from '@clawmesh/proto'
import { z } from 'zod'
import { readStrictJson } from '../../policy/read/strict-json.ts'
import { type Refused, refuse } from '../refused.ts'

export interface AccountTokenRequest {
  /** An agent of the account's tenant; null when the account stands for one agent. */
  readonly agentId: string | null
  /** Null: all that policy allows. */
  readonly destinations: readonly string[] | null
  /** Null: the default. */
  readonly ttlMs: number | null
}

/**
 * Issues a token for a service-account key. @throws MeshError MESH_ACCOUNT_KEY_INVALID, MESH_TOKEN_REQUEST_INVALID,
 * MESH_POLICY_NOT_ALLOWED
 */
export type IssueForAccountKey = (
  key: Secret<string>,
  request: AccountTokenRequest,
) => Promise<{ readonly token: Secret<string>; readonly claims: EgressClaims }>

export interface ParsedTokenRequest {
  readonly key: Secret<string>
  readonly request: AccountTokenRequest
}

const BODY = z.strictObject({
  key: z.string().min(1).max(512).optional(),
  agent_id: z.string().min(1).max(63).optional(),
  destinations: z.array(z.string().min(1).max(300)).max(1000).optional(),
  ttl_seconds: z.number().int().positive().max(31_536_000).optional(),
})

const BEARER = /^bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i

/** @param authorization the Authorization header. The key may be there or in the body, not in both. */
export function parseTokenRequest(
  authorization: string | null,
  body: Buffer,
): ParsedTokenRequest | Refused {
  let fields: z.infer<typeof BODY> = {}
  if (body.length > 0) {
    const document = readStrictJson(body)
    const fault = document.faults[0]
    if (fault !== undefined) return invalid(`the body is not JSON as it must be: ${fault.message}`)
    const parsed = BODY.safeParse(document.value)
    if (!parsed.success) return invalid(`the body is not as it must be: ${explain(parsed.error)}`)
    fields = parsed.data
  }
  const bearer = authorization === null ? undefined : BEARER.exec(authorization)?.[1]
  if (authorization !== null && bearer === undefined) return missingKey()
  if (bearer !== undefined && fields.key !== undefined)
    return invalid('the key stands both in Authorization and in the body')
  const key = bearer ?? fields.key
  if (key === undefined) return missingKey()
  return {
    key: new Secret(key),
    request: {
      agentId: fields.agent_id ?? null,
      destinations: fields.destinations ?? null,
      ttlMs: fields.ttl_seconds === undefined ? null : fields.ttl_seconds * 1000,
    },
  }
}

function missingKey(): Refused {
  return refuse('credential', 'MESH_ACCOUNT_KEY_INVALID', {
    message: 'no service-account key was presented',
    hint: 'send Authorization: Bearer <key>, or {"key": "…"} as JSON',
  })
}

function invalid(message: string): Refused {
  return refuse('syntax', 'MESH_TOKEN_REQUEST_INVALID', {
    message,
    hint: 'a JSON object with key, agent_id, destinations and ttl_seconds, all optional',
  })
}

/** Names paths and kinds only: values may be secrets. */
function explain(error: z.ZodError): string {
  const [issue] = error.issues
  if (issue === undefined) return 'it is invalid'
  if (issue.code === 'unrecognized_keys') return 'it has a key that is not known'
  const path = issue.path.join('.')
  return path === '' ? 'it must be an object' : `${path} is not valid`
}
