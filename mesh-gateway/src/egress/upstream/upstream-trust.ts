/**
 * The roots that the gateway trusts for its own TLS connections (relay form): those of the system, and those of one
 * configured file, reloaded on change. A file that is empty, damaged or missing leaves the last good one in force.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import {
  type Disk,
  dangerousCurve,
  describeFileFault,
  type Log,
  parseCertificates,
  readWhole,
  silentLog,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { follow } from '../../files/follow.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'

export interface UpstreamTrustOptions {
  /** PEM, one or more certificates, trusted besides the system's. Null: none. */
  readonly file: string | null
  readonly log?: Log
  readonly metrics?: Pick<Metrics, 'reload'>
  /** Milliseconds. Default 10,000. */
  readonly pollMs?: number
  /** Shared by all file followers of this process. Default: its own. */
  readonly disk?: Disk | undefined
}

export interface UpstreamTrust {
  /** For new connections. */
  context(): SecureContext
  /** True when the file on disk is in use. */
  reload(): Promise<boolean>
  close(): Promise<void>
}

const MAX_CERTIFICATES = 1000
const MAX_BYTES = 8 * 1024 * 1024

/** @throws MeshError MESH_CONFIG_INVALID when the first file is not good. */
export async function openUpstreamTrust(options: UpstreamTrustOptions): Promise<UpstreamTrust> {
  const { file, log = silentLog, metrics = { reload() {} }, pollMs } = options
  const usual = usualRoots()
  if (file === null) {
    const context = contextOf(usual, [])
    return { context: () => context, reload: async () => true, close: async () => {} }
  }
  const followed = await follow({
    what: 'egress-ca',
    files: [file],
    // a bundle cut between two certificates is still valid PEM
    settle: 'twice',
    async read(disk) {
      const text = await readRoots(file, disk)
      const digest = createHash('sha256').update(text).digest('base64')
      return { digest, parse: () => contextOf(usual, parseRoots(text, file)) }
    },
    log,
    metrics,
    pollMs,
    disk: options.disk,
  })
  return {
    context: () => followed.current(),
    reload: () => followed.reload(),
    close: () => followed.close(),
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

/** Never empty: Node would use its own roots, and hide the mistake. */
function usualRoots(): string[] {
  const system = getCACertificates('system')
  // containers often have none
  const roots = system.length > 0 ? system : getCACertificates('bundled')
  // Debian has each root four times: by name, by two hashes, and in one file of all
  return [...new Set([...roots, ...getCACertificates('extra')])].filter(isHarmless)
}

/** The DER of id-ecPublicKey (RFC 5480, section 2.1.1), which the key of each certificate on a curve begins with. */
const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex')

function isHarmless(pem: string): boolean {
  // most roots have RSA keys, and reading a certificate costs fifty times as much as this look
  const der = Buffer.from(pem.replaceAll(/-----[A-Z ]+-----/g, ''), 'base64')
  if (!der.includes(EC_PUBLIC_KEY)) return true
  try {
    return dangerousCurve(new X509Certificate(pem)) === null
  } catch {
    // a chain to an unreadable root could not be verified
    return false
  }
}

function contextOf(usual: readonly string[], configured: readonly string[]): SecureContext {
  return createSecureContext({ ca: [...new Set([...usual, ...configured])], minVersion: 'TLSv1.2' })
}
