/** A response of `agent.fetch`: one of the global class, so that code that asks `instanceof Response` is answered yes. */
import type { Response as UndiciResponse } from 'undici'

/** What a response made by hand cannot say: where it came from, and any status. */
const HANDED_ON = ['status', 'statusText', 'ok', 'url', 'redirected', 'type'] as const

/** @param body of `answered`, or a copy of it */
export function globalResponse(answered: UndiciResponse, body = answered.body): Response {
  const response = new Response(body, { headers: [...answered.headers] })
  const clone = response.clone.bind(response)
  for (const name of HANDED_ON) Object.defineProperty(response, name, { value: answered[name] })
  // it also keeps `answered`: undici cancels a body as soon as the response that it came with is collected
  return Object.defineProperty(response, 'clone', {
    value: () => globalResponse(answered, clone().body),
  })
}
