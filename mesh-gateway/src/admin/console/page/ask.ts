/** Asks the endpoints of this gateway. */

/** @throws Error with what the gateway says is wrong */
export async function ask<T>(path: string): Promise<T> {
  return await read<T>(await fetch(`/api/${path}`))
}

/** @throws Error with what the gateway says is wrong */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  return await read<T>(
    await fetch(`/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }),
  )
}

async function read<T>(response: Response): Promise<T> {
  const body = await response
    .json()
    .catch(() => ({ error: `the gateway answered ${response.status}` }))
  if (!response.ok) throw new Error(body.error ?? `the gateway answered ${response.status}`)
  return body
}
