/** What a tool of the mesh answers, and how it refuses: to the model what it may do, to the operator the hint. */
import type { ErrorCode } from '../codes.ts'
import type { MeshError } from '../mesh-error.ts'
import { adviceFor } from './advice.ts'
import { markUntrusted, plainLineOf, plainTextOf } from './untrusted.ts'

/** A refusal is a result too: `isError`, and `details` with code, reason and advice. */
export interface ToolResult {
  /** For the model. Bounded; what another party wrote stands between marks. */
  readonly text: string
  readonly isError: boolean
  /**
   * For programs, as JSON: `peer`, `id`, `state`, `files` …; of a refusal `code`, `reason`, `advice`. Never a secret. `output` and
   * `said` are the words of another party without marks: no model may see them (`factsOf` leaves them out).
   */
  readonly details: Readonly<Record<string, unknown>>
}

/** A code of the error table, or why the tool did not even call. */
export type RefusalCode = ErrorCode | 'TOOL_ARGUMENTS' | 'TOOL_FAILED'

export interface Refusal {
  readonly code: RefusalCode
  /** One line, in our words or in those of the gateway. */
  readonly reason: string
  /** What the model may do. */
  readonly advice: string
  /** The words of a peer, which are marked; null where there are none. */
  readonly said?: { readonly by: string; readonly text: string } | null
  /** Further facts, such as `id` and `peer`. */
  readonly facts?: Readonly<Record<string, unknown>>
}

export function refusalResult({ code, reason, advice, said = null, facts }: Refusal): ToolResult {
  const lines = [`${code}: ${plainLineOf(reason, 500)}.`, `What you may do: ${advice}.`]
  if (said !== null) lines.push('', markUntrusted(said.by, said.text))
  return {
    text: lines.join('\n'),
    isError: true,
    details: {
      ...{ code, reason: plainLineOf(reason, 500), advice, ...facts },
      ...(said === null ? {} : { said: plainTextOf(said.text) }),
    },
  }
}

export function argumentsRefused(reason: string): ToolResult {
  return refusalResult({
    code: 'TOOL_ARGUMENTS',
    reason,
    advice: 'call it again with other arguments',
  })
}

/**
 * @param from who may have written the message of the error, e.g. `the peer researcher.acme.mesh.internal`
 * @param facts further facts for `details`
 */
export function errorResult(
  error: MeshError,
  from: string,
  facts: Readonly<Record<string, unknown>> = {},
): ToolResult {
  const { code, row, retryAfterMs } = error
  const bySomebody = error.facts.said_by === 'peer'
  const own = error.facts.code
  const seconds = retryAfterMs === undefined ? null : Math.ceil(retryAfterMs / 1000)
  const advice = adviceFor(code)
  const peerCode = bySomebody && own !== undefined ? { peer_code: plainLineOf(own, 100) } : {}
  return refusalResult({
    code,
    reason: bySomebody ? row.meaning : error.publicMessage,
    advice: seconds === null ? advice : `${advice}, after ${seconds} s`,
    said: bySomebody
      ? { by: from, text: [own, error.message].filter(Boolean).join(': ').slice(0, 2_000) }
      : null,
    facts: {
      ...facts,
      ...peerCode,
      retryable: row.retryable,
      ...(seconds === null ? {} : { retry_after_seconds: seconds }),
      ...requestIdOf(error),
    },
  })
}

function requestIdOf({ facts }: MeshError): Readonly<Record<string, string>> {
  const id = facts.request_id
  return id === undefined ? {} : { request_id: plainLineOf(id, 100) }
}

/** `details` without the words of others: for what a host may show to a model. */
export function factsOf({ details }: ToolResult): Readonly<Record<string, unknown>> {
  const { output: _output, said: _said, ...facts } = details
  return facts
}
