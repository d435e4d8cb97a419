/**
 * The certificate of the egress port's TLS: `tls.crt` and `tls.key` of a directory, reloaded on change. A pair that is
 * damaged, does not match, has expired, or fails a handshake with an ordinary client leaves the last good one in force.
 */
import { createHash, createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Disk,
  describeFileFault,
  type Log,
  parseCertificates,
  readWhole,
  silentLog,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import { follow } from '../../files/follow.ts'
import { codeOf } from '../../process/error-code.ts'
import type { Metrics } from '../../telemetry/metrics-port.ts'
import { whyNotServed } from './prove-pair.ts'

export interface PortCertificateOptions {
  readonly dir: string
  readonly log?: Log
  readonly metrics?: Pick<Metrics, 'reload'>
  /** Milliseconds. Default 10,000. */
  readonly pollMs?: number
  /** Shared by all file followers of this process. Default: its own. */
  readonly disk?: Disk | undefined
}

export interface CertifiedKey {
  /** PEM, the leaf first. */
  readonly chain: string
  readonly key: Secret<string>
}

export interface PortCertificate {
  current(): CertifiedKey
  onChange(listener: (value: CertifiedKey) => void): () => void
  reload(): Promise<boolean>
  close(): Promise<void>
}

/** The TLS options of a pair, in one place: a reload that omitted the version would admit older ones again. */
export function portSecrets({ chain, key }: CertifiedKey) {
  return { cert: chain, key: key.reveal(), minVersion: 'TLSv1.2' as const }
}

const MAX_CHAIN = 10
const MAX_CHAIN_BYTES = 256 * 1024
const MAX_KEY_BYTES = 64 * 1024

/** @throws MeshError MESH_CONFIG_INVALID when the first pair is not good. */
export async function openPortCertificate(
  options: PortCertificateOptions,
): Promise<PortCertificate> {
  const { dir, log = silentLog, metrics = { reload() {} }, pollMs } = options
  return follow({
    what: 'egress-tls',
    files: ['tls.crt', 'tls.key'].map((name) => join(dir, name)),
    async read(disk) {
      const { chain, key } = await readPair(dir, disk)
      const digest = createHash('sha256').update(`${chain}\0${key}`).digest('base64')
      return { digest, parse: () => prove(chain, key, dir) }
    },
    log,
    metrics,
    pollMs,
    disk: options.disk,
  })
}

async function readPair(dir: string, disk: Disk): Promise<{ chain: string; key: string }> {
  // both files from one generation of a Kubernetes Secret
  const data = join(dir, '..data')
  try {
    const from = await disk
      .run(data, () => realpath(data))
      .catch((error: unknown) => {
        if (codeOf(error) === 'ENOENT') return dir
        throw error
      })
    const chain = await readWhole(join(from, 'tls.crt'), { maxBytes: MAX_CHAIN_BYTES, disk })
    const key = await readWhole(join(from, 'tls.key'), { maxBytes: MAX_KEY_BYTES, disk })
    return { chain: chain.toString('latin1'), key: key.toString('latin1') }
  } catch (cause) {
    throw bad(dir, `tls.crt or tls.key cannot be read (${describeFileFault(cause)})`, cause)
  }
}

async function prove(chain: string, key: string, dir: string): Promise<CertifiedKey> {
  const certificates = certificatesOf(chain, dir)
  const [leaf] = certificates
  if (leaf === undefined || !leaf.checkPrivateKey(privateKeyOf(key, dir)))
    throw bad(dir, 'tls.key is not the key of tls.crt')
  if (leaf.validToDate.getTime() <= Date.now()) throw bad(dir, 'tls.crt has expired')
  const pair = Object.freeze({ chain, key: new Secret(key) })
  const why = await whyNotServed(portSecrets(pair), certificates)
  if (why !== null)
    throw bad(dir, `TLS clients are not served with tls.crt and tls.key (${why})`, undefined, KEYS)
  return pair
}

function certificatesOf(chain: string, dir: string): X509Certificate[] {
  try {
    return parseCertificates(chain, 'tls.crt', MAX_CHAIN)
  } catch (cause) {
    throw bad(dir, cause instanceof MeshError ? cause.message : 'tls.crt is not PEM', cause)
  }
}

function privateKeyOf(key: string, dir: string): KeyObject {
  try {
    return createPrivateKey(key)
  } catch {
    // without the cause, which might quote the key
    throw bad(dir, 'tls.key is not a private key')
  }
}

const FILES = 'egress.tls.dir holds tls.crt, the leaf first, and tls.key, both PEM'
const KEYS =
  'take a certificate for TLS servers with a key on P-256 or of RSA with 2048 bits or more, and so for each CA in tls.crt'

function bad(dir: string, what: string, cause?: unknown, hint = FILES): MeshError {
  return new MeshError('MESH_CONFIG_INVALID', `${dir}: ${what}`, { cause, hint })
}
