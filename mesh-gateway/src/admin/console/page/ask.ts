/** Asks the endpoints of this gateway. */

export class Asking {
  /** How many workers have not answered the latest question in time: their part is missing. */
  silentWorkers = 0

  /** @throws Error with what the gateway says is wrong */
  async ask<T>(path: string): Promise<T> {
    return await this.#read<T>(await fetch(`/api/${path}`))
  }

  /** @throws Error with what the gateway says is wrong */
  async post<T>(path: string, body: unknown): Promise<T> {
    const headers = { 'content-type': 'application/json' }
    return await this.#read<T>(
      await fetch(`/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }),
    )
  }

  async #read<T>(response: Response): Promise<T> {
    const body = await response
      .json()
      .catch(() => ({ error: `the gateway answered ${response.status}` }))
    if (!response.ok) throw new Error(body.error ?? `the gateway answered ${response.status}`)
    this.silentWorkers = body.silent_workers
    return body
  }
}
