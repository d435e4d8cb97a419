/** Something that stands between load and backend, and what it costs. */

export interface Contestant {
  readonly name: string
  /** Where it takes load. */
  readonly port: number
  /** Directory of the certificate that callers show it. Default: the caller's own. */
  readonly identity?: string
  /** The processes whose CPU time counts. */
  pids(): readonly number[]
  stop(): Promise<void>
}

/** Why a contestant does not take part, in words. */
export interface Absent {
  readonly name: string
  readonly skipped: string
}

export const GATEWAY = 'mesh-gateway'
export const GRPC_JS = 'grpc-js proxy'
export const NGINX = 'nginx grpc_pass'
export const SQUID = 'squid'
export const SMOKESCREEN = 'smokescreen'
export const DIRECT = 'direct call'
export const DIRECT_REQUEST = 'direct request'

/** Why it did not start, in one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const lines = text.split('\n').filter((line) => /fatal|emerg|cannot|ended|unknown/i.test(line))
  return lines.slice(0, 2).join(' ') || text.slice(0, 200)
}
