/** Which chain of delegation a task is part of, as the token that came with it says. The gateway has signed it; here it is only read. */
export interface TaskChain {
  /** Of the tree that the task is part of: audit lines have it as `root_id`. */
  readonly rootId: string
  /** Id of the delegation that the caller worked on when it made this one; null where the chain begins, and from older gateways. */
  readonly parentId: string | null
  /** 1 for the first delegation of a chain. */
  readonly hop: number
  /** SPIFFE IDs, first the agent that the chain began with, last the caller. */
  readonly agents: readonly string[]
}

/** Longer than any chain that a policy allows. */
const MAX_AGENTS = 100

/** Null for what is no delegation token. */
export function readTaskChain(token: string | null): TaskChain | null {
  const claims = token === null ? null : claimsOf(token)
  if (claims === null) return null
  const { txn, hop, parent_id: parent } = claims
  const agents: string[] = []
  for (let act = fieldsOf(claims.act); act !== null; act = fieldsOf(act.act)) {
    if (typeof act.sub !== 'string' || agents.length === MAX_AGENTS) return null
    agents.unshift(act.sub)
  }
  if (typeof txn !== 'string' || typeof hop !== 'number' || agents.length === 0) return null
  return Object.freeze({
    ...{ rootId: txn, hop, agents: Object.freeze(agents) },
    parentId: typeof parent === 'string' ? parent : null,
  })
}

function claimsOf(token: string): Readonly<Record<string, unknown>> | null {
  try {
    return fieldsOf(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()))
  } catch {
    // not a JWT: the gateway will say what it is
    return null
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value))
    : null
}
