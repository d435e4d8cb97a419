/**
 * Replaces the tables in which a session of node:http2 keeps its streams by ones that leave no litter.
 * Node keeps them in a Map and a Set. With each stream that comes and goes V8 soon makes a new table of those, and leaves the
 * old one linked to its successor; once a dead one has reached the old generation, it keeps all that follow it, and their
 * streams, from dying young. docs/decisions/lean-stream-tables.md has the figures.
 * Touches the session only where it looks exactly as expected, and leaves it alone otherwise.
 */
import type { Http2Session } from 'node:http2'
import { types } from 'node:util'
import { StreamSet, StreamTable } from './stream-table.ts'

/** Call it on a session that has had no stream yet. False when the session was left as it is. */
export function leanStreamTables(session: Http2Session): boolean {
  const state = stateOf(session)
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
