/**
 * Whom the gateway believes when it makes the TLS connection itself (relay form): the roots of the system, and those of one
 * configured file, followed while it changes. A file that is empty, damaged or gone leaves the last good one in force.
 */
import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { type Log, parseCertificates, silentLog } from '@clawmesh/agent-sdk'
import { createDisk, type Disk, describeFileFault, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { openReloadable } from '../config/reloadable.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'

export interface UpstreamTrustOptions {
  /** PEM, one certificate or more, believed beside the system's. Null: none. */
  readonly file: string | null
  readonly log?: Log
  readonly metrics?: Pick<Metrics, 'reload'>
  /** Default 10,000 milliseconds. */
  readonly pollMs?: number
}

export interface UpstreamTrust {
  /** For connections that are made now. */
  context(): SecureContext
  /** True when what is on disk is what is in use. */
  reload(): Promise<boolean>
  close(): Promise<void>
}

const MAX_CERTIFICATES = 1000
const MAX_BYTES = 8 * 1024 * 1024

/** @throws MeshError MESH_CONFIG_INVALID when the file is not good at the start. */
export async function openUpstreamTrust(options: UpstreamTrustOptions): Promise<UpstreamTrust> {
  const { file, log = silentLog, metrics = { reload() {} }, pollMs } = options
  if (file === null) {
    const context = contextOf([])
    return { context: () => context, reload: async () => true, close: async () => {} }
  }
  const disk = createDisk()
  const reloadable = await openReloadable({
    what: 'egress-ca',
    dir: dirname(file),
    async read() {
      const text = await readRoots(file, disk)
      const digest = createHash('sha256').update(text).digest('base64')
      return { digest, parse: () => contextOf(parseRoots(text, file)) }
    },
    log,
    metrics,
    ...(pollMs === undefined ? {} : { pollMs }),
  })
  return {
    context: () => reloadable.current(),
    reload: () => reloadable.reload(),
    close: () => reloadable.close(),
  }
}

async function readRoots(file: string, disk: Disk): Promise<string> {
  try {
    return (await readWhole(file, { maxBytes: MAX_BYTES, disk })).toString('utf8')
  } catch (cause) {
    throw new MeshError(
      'MESH_CONFIG_INVALID',
      `${file} cannot be read (${describeFileFault(cause)})`,
      {
        cause,
        hint: HINT,
      },
    )
  }
}

function parseRoots(text: string, file: string): string[] {
  try {
    return parseCertificates(text, file, MAX_CERTIFICATES).map((one) => one.toString())
  } catch (cause) {
    const why = cause instanceof MeshError ? cause.message : `${file} is not PEM`
    throw new MeshError('MESH_CONFIG_INVALID', why, { cause, hint: HINT })
  }
}

const HINT = 'egress.ca names a PEM file with one CA certificate or more'

/** The list is never empty: Node would take that for its own roots, and a mistake for a wish. */
function contextOf(configured: readonly string[]): SecureContext {
  const system = getCACertificates('system')
  // containers often come without any
  const roots = system.length > 0 ? system : getCACertificates('bundled')
  const all = new Set([...roots, ...getCACertificates('extra'), ...configured])
  return createSecureContext({ ca: [...all], minVersion: 'TLSv1.2' })
}
