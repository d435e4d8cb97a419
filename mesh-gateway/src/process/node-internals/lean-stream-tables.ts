/**
 * Replaces the tables in which a session of node:http2 keeps its streams by ones that leave no garbage. Node uses a Map
 * and a Set. As streams come and go, V8 rebuilds those tables and links each old one to its successor; an old table
 * that was promoted keeps all later ones, and their streams, alive. docs/decisions/lean-stream-tables.md has the
 * figures. Changes a session only if it has exactly the expected shape, and otherwise leaves it alone.
 */
import type { Http2Session } from 'node:http2'
import { types } from 'node:util'
import { StreamSet, StreamTable } from './stream-table.ts'
import { patchesNode } from './switch.ts'

/** To be called on a session without streams. False when the session was left unchanged. */
export function leanStreamTables(session: Http2Session): boolean {
  const state = patchesNode() ? stateOf(session) : null
  if (state === null) return false
  state.streams = new StreamTable()
  state.pendingStreams = new StreamSet()
  return true
}

interface SessionState {
  streams: object
  pendingStreams: object
}

function stateOf(session: Http2Session): SessionState | null {
  const symbols = Object.getOwnPropertySymbols(session).filter(
    ({ description }) => description === 'state',
  )
  const [symbol] = symbols
  if (symbol === undefined || symbols.length > 1) return null
  const state: unknown = Reflect.get(session, symbol)
  return isState(state) ? state : null
}

function isState(state: unknown): state is SessionState {
  if (typeof state !== 'object' || state === null) return false
  const streams = Object.getOwnPropertyDescriptor(state, 'streams')
  const pending = Object.getOwnPropertyDescriptor(state, 'pendingStreams')
  return (
    streams?.writable === true &&
    types.isMap(streams.value) &&
    streams.value.size === 0 &&
    pending?.writable === true &&
    types.isSet(pending.value) &&
    pending.value.size === 0
  )
}
