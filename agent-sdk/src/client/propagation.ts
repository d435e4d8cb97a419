/** What calls to a peer carry in metadata beside the message: the trace, the chain that they are part of, and what narrows it. */
import {
  METADATA_DELEGATION,
  METADATA_DELEGATION_ID,
  METADATA_NARROW_DESTINATIONS,
  METADATA_NARROW_SCOPE,
  METADATA_TASK_DEADLINE,
  METADATA_TRACEPARENT,
  type Secret,
} from '@clawmesh/proto'

import { checkOptions, optionNames } from '../check-options.ts'

/** From the task that a call is made for. */
export interface Propagated {
  readonly traceparent: string | null
  /** Null outside of any chain. */
  readonly chain: { readonly token: Secret<string>; readonly expiresMs: number } | null
}

/** What the chain is narrowed to, from the callee on. What is left out is not narrowed; an empty list allows nothing. */
export interface Narrowing {
  /** Host patterns as policy writes them: `api.example.com`, `*.example.com`, `api.example.com:8443`. */
  readonly destinations?: readonly string[]
  /** Names that mean something to the agents: `read`, `tickets:write`. */
  readonly scope?: readonly string[]
}

export const NOTHING_PROPAGATED: Propagated = Object.freeze({ traceparent: null, chain: null })

/** Of a call that starts a task. @param deadline of the task; null: none. @throws TypeError */
export function metadataOfDelegate(
  { traceparent, chain }: Propagated,
  id: string,
  deadline: Date | null,
  narrow: Narrowing | undefined,
): Readonly<Record<string, string>> {
  return {
    ...(deadline === null ? {} : { [METADATA_TASK_DEADLINE]: millisecondsOf(deadline) }),
    ...metadataOfId(traceparent, id),
    ...(chain === null ? {} : { [METADATA_DELEGATION]: chain.token.reveal() }),
    ...metadataOfNarrowing(narrow),
  }
}

/** Of a call about a task that was started before, or about many: then the id is empty. */
export function metadataOfTask(
  { traceparent, chain }: Propagated,
  id: string,
  nowMs: number,
): Readonly<Record<string, string>> {
  // a call about a task that runs already needs no chain, and an expired token would have it refused
  const holds = chain !== null && nowMs < chain.expiresMs
  return {
    ...metadataOfId(traceparent, id),
    ...(holds ? { [METADATA_DELEGATION]: chain.token.reveal() } : {}),
  }
}

const NARROWING = optionNames<Narrowing>({ destinations: true, scope: true })

/** @throws TypeError for what metadata cannot say */
function metadataOfNarrowing(narrow: Narrowing | undefined): Readonly<Record<string, string>> {
  if (narrow === undefined) return {}
  checkOptions(narrow, NARROWING, 'delegate', 'narrow')
  const { destinations, scope } = narrow
  return {
    ...(destinations === undefined
      ? {}
      : { [METADATA_NARROW_DESTINATIONS]: joined('narrow.destinations', destinations, ',') }),
    ...(scope === undefined ? {} : { [METADATA_NARROW_SCOPE]: joined('narrow.scope', scope, ' ') }),
  }
}

function metadataOfId(traceparent: string | null, id: string): Record<string, string> {
  return {
    ...(id === '' ? {} : { [METADATA_DELEGATION_ID]: id }),
    ...(traceparent === null ? {} : { [METADATA_TRACEPARENT]: traceparent }),
  }
}

/** What metadata can say: never before 1970, and the year 2286 for all that is later. */
function millisecondsOf(time: Date): string {
  return String(Math.min(Math.max(0, Math.ceil(time.getTime())), 9_999_999_999_999))
}

function joined(option: string, words: readonly string[], separator: string): string {
  if (!Array.isArray(words)) throw new TypeError(`${option}: must be a list`)
  for (const word of words)
    if (typeof word !== 'string' || !/^[\x21-\x2b\x2d-\x7e]+$/.test(word))
      throw new TypeError(`${option}: ${JSON.stringify(word)} has characters that none may have`)
  return words.join(separator)
}
