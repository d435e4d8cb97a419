/** Asks a running gateway at its admin port, for the commands that show what it does now. */
import { MeshError } from '@clawmesh/proto'
import type { Command } from 'commander'
import { z } from 'zod'
import { readConfig } from '../config/live-config.ts'
import { REQUIRED } from '../config/settings.ts'
import { formatListenAddress } from '../net/listen-address.ts'
import { readBounded } from '../net/read-bounded.ts'
import type { Terminal } from '../process/terminal.ts'

export interface AdminPlace {
  /** URLs of admin ports. */
  readonly admin?: readonly string[]
  readonly config?: string
}

/** How long an answer may take as a whole, in milliseconds. */
const ANSWER_MS = 10_000
/** More than a gateway remembers. */
const MAX_ANSWER_BYTES = 33_554_432
const DEFAULT = 'http://127.0.0.1:9090'

export function addAdminPlace(command: Command): Command {
  return command
    .option('--admin <urls...>', `admin ports of running gateways (default: ${DEFAULT})`)
    .option('--config <file>', 'or the configuration file that names it (MESH_CONFIG)')
}

/** @throws MeshError MESH_CONFIG_INVALID */
export async function adminUrls(
  { admin, config }: AdminPlace,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): Promise<readonly string[]> {
  if (admin !== undefined) return admin
  const path = config ?? (env.MESH_CONFIG || null)
  if (path === null) return [DEFAULT]
  const resolved = await readConfig({ path, env, cwd, flags: {}, optional: REQUIRED })
  return [`http://${formatListenAddress(resolved.config.admin.listen)}`]
}

/**
 * The answer of an endpoint below /api/, checked against its shape.
 * @throws MeshError MESH_GATEWAY_UNREACHABLE, MESH_AUDIT_UNREADABLE for a tree that it does not remember
 */
export async function askAdmin<T>(
  url: string,
  path: string,
  shape: z.ZodType<T>,
  withinMs = ANSWER_MS,
): Promise<T> {
  const unreachable = (why: string, cause?: unknown) =>
    new MeshError('MESH_GATEWAY_UNREACHABLE', `${url} gives no answer: ${why}`, {
      cause,
      hint: 'check that the gateway runs; --admin names its admin port, e.g. http://127.0.0.1:9090',
    })
  const signal = AbortSignal.timeout(withinMs)
  let response: Response
  let body: unknown
  try {
    response = await fetch(new URL(`/api/${path}`, url), {
      ...{ headers: { connection: 'close' }, signal },
    })
    const bytes = await readBounded(response.body ?? [], MAX_ANSWER_BYTES)
    if (bytes === null) throw new RangeError(`it answers with more than ${MAX_ANSWER_BYTES} bytes`)
    body = parsed(bytes)
  } catch (cause) {
    const late = `it took more than ${withinMs / 1_000} s`
    throw unreachable(signal.aborted ? late : reasonOf(cause), cause)
  }
  const refused = z.object({ error: z.string() }).safeParse(body)
  if (refused.success && response.status === 404)
    throw new MeshError('MESH_AUDIT_UNREADABLE', refused.data.error, {
      hint: 'it forgets what is older; mesh-gateway trees ROOT --audit FILE reads the audit log',
    })
  if (refused.success) throw unreachable(refused.data.error)
  if (response.status === 404)
    throw new MeshError('MESH_GATEWAY_UNREACHABLE', `${url} has no /api/`, {
      hint: 'set admin.console to on, and run this version of the gateway',
    })
  const read = shape.safeParse(body)
  if (!read.success) throw unreachable(`it answered ${response.status}, not as this version does`)
  return read.data
}

/** A field of every answer: how many workers have not answered. A gateway of an earlier version does not say. */
export const SILENT = Object.freeze({ silent_workers: z.number().default(0) })

/** The line that says so, if any. */
export function silenceNote({ silent_workers: silent }: { readonly silent_workers: number }) {
  const who = silent === 1 ? 'one worker does' : `${silent} workers do`
  return silent === 0 ? [] : [`! ${who} not answer: what is theirs is missing here`]
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

function reasonOf(error: unknown): string {
  const { cause } = error instanceof Error ? error : { cause: null }
  if (cause instanceof Error && 'code' in cause) return String(cause.code)
  return error instanceof Error ? error.message : 'it failed'
}
