/** Builds the request headers for the callee, names and values in turn. */

import type { Call } from '../call.ts'
import { formatGrpcTimeout } from './grpc-timeout.ts'

/**
 * @param authority the callee's name
 * @param mesh the headers that the gateway sets
 * @param remainingMs of the deadline; null without one
 */
export function upstreamHeaders(
  call: Call,
  authority: string,
  mesh: readonly string[],
  remainingMs: number | null,
): string[] {
  const headers = [':method', 'POST', ':scheme', 'https', ':path', call.path]
  headers.push(':authority', authority, 'te', 'trailers', ...mesh)
  if (remainingMs !== null) headers.push('grpc-timeout', formatGrpcTimeout(remainingMs))
  for (const item of call.metadata) headers.push(item)
  return headers
}
