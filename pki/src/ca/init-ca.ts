/**
 * Creates a CA: an encrypted root for 10 years, and an encrypted intermediate for 1 year that may issue leaves only
 * (pathLen 0) and only for DNS names and addresses of the mesh (critical name constraints).
 */
import { resolve } from 'node:path'
import { MeshError, type Secret } from '@clawmesh/proto'
import { toPem } from '../der/pem.ts'
import { signList } from '../revocation/sign-list.ts'
import { signCertificate } from '../x509/certificate.ts'
import { caConstraints, caKeyUsage } from '../x509/extensions.ts'
import { parseCertificate } from '../x509/parse-certificate.ts'
import { writeCaFiles } from './ca-files.ts'
import { type CaInfo, caInfo } from './ca-info.ts'
import {
  BACKDATE_MS,
  checkDomain,
  DEFAULT_INTERMEDIATE_DAYS,
  DEFAULT_ROOT_DAYS,
  lifeMs,
  toRange,
} from './ca-terms.ts'
import { KEY_ITERATIONS, LEAST_KEY_ITERATIONS, MIN_PASSPHRASE_LENGTH } from './encrypted-key.ts'
import { makeIntermediate, newIssuer } from './make-intermediate.ts'
import { type NewKeyOptions, newKey } from './new-key.ts'

export interface InitCaOptions {
  /** Created with mode 0700; must not exist, or be empty. */
  readonly dir: string
  /** E.g. `mesh.internal`. */
  readonly trustDomain: string
  /** The domain of peer names. Default: the trust domain. */
  readonly meshDomain?: string
  /** Encrypts both keys. At least 12 characters. Not used where keys are in a token. */
  readonly passphrase: Secret
  /**
   * Makes both keys in a token (PKCS #11), `pkcs11:token=LABEL?module-path=/path/of.so&pin-source=file:/path/of/pin`.
   * Default: none; keys are encrypted files.
   */
  readonly pkcs11?: string
  /**
   * PBKDF2 iterations that turn the passphrase into a key; at least 1,000. Default 600,000, for passphrases chosen by
   * people. A passphrase of 128 random bits is as strong with 1,000, and the CA then opens in a millisecond.
   */
  readonly keyIterations?: number
  /** Further DNS domains allowed in certificates, e.g. of a load balancer. Default: none. */
  readonly permitDnsDomains?: readonly string[]
  /** IP ranges allowed in certificates, in CIDR notation. Default: none; every IP address is refused. */
  readonly permitIpRanges?: readonly string[]
  /**
   * Restricts the intermediate to SPIFFE IDs of the trust domain, by a URI name constraint. rustls and Python's
   * cryptography then accept none of its certificates. Default false: gateways and agents check the trust domain.
   */
  readonly constrainUris?: boolean
  /** Life of the root, in days. Default 3650. */
  readonly rootDays?: number
  /** Life of the intermediate, in days; never longer than the root. Default 365. */
  readonly intermediateDays?: number
  /** The clock, in milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
}

/** @throws MeshError MESH_PKI_EXISTS, MESH_PKI_PASSPHRASE, MESH_HSM_*, MESH_DISK_WRITE; TypeError for unusable options. */
export async function initCa(options: InitCaOptions): Promise<CaInfo> {
  const { trustDomain, meshDomain = trustDomain, permitDnsDomains = [] } = options
  if (typeof options.dir !== 'string' || options.dir === '')
    throw new TypeError('dir: must be a path')
  const dir = resolve(options.dir)
  checkDomain('trustDomain', trustDomain)
  checkDomain('meshDomain', meshDomain)
  for (const domain of permitDnsDomains) checkDomain('permitDnsDomains', domain)
  const ipRanges = (options.permitIpRanges ?? []).map(toRange)
  const making = keyOptions(options)
  const nowMs = (options.now ?? Date.now)()
  const notBefore = new Date(nowMs - BACKDATE_MS)
  const rootEnds = nowMs + lifeMs('rootDays', options.rootDays ?? DEFAULT_ROOT_DAYS)
  const { intermediateDays = DEFAULT_INTERMEDIATE_DAYS } = options
  const wanted = lifeMs('intermediateDays', intermediateDays)
  const intermediateEnds = Math.min(nowMs + wanted, rootEnds)

  const rootKeys = await newKey('root', making)
  const rootIssuer = newIssuer('root', trustDomain, rootKeys)
  const rootDer = signCertificate(
    {
      subject: rootIssuer.name,
      publicKey: rootKeys.publicKey,
      notBefore,
      notAfter: new Date(rootEnds),
      extensions: [caConstraints(1), caKeyUsage()],
    },
    rootIssuer,
  )
  const keys = await newKey('intermediate', making)
  const intermediateDer = makeIntermediate(
    {
      subject: newIssuer('intermediate', trustDomain, keys).name,
      publicKey: keys.publicKey,
      notBefore,
      notAfter: new Date(intermediateEnds),
      permitted: {
        dnsDomains: [...new Set([meshDomain, ...permitDnsDomains])],
        uriHost: options.constrainUris === true ? trustDomain : null,
        ipRanges,
      },
    },
    rootIssuer,
  )

  const root = parseCertificate(rootDer)
  const intermediate = parseCertificate(intermediateDer)
  const files = {
    'root.crt': toPem('CERTIFICATE', rootDer),
    'root.key': rootKeys.file,
    'intermediate.crt': toPem('CERTIFICATE', intermediateDer),
    'intermediate.key': keys.file,
  }
  const rootList = signList({
    issuer: rootIssuer,
    number: nowMs,
    nowMs,
    endsMs: intermediateEnds,
    revoked: [],
  })
  await writeCaFiles(
    dir,
    { ...files, 'root.crl': rootList.pem },
    {
      version: 1,
      trustDomain,
      meshDomain,
      root: root.fingerprint,
      intermediate: intermediate.fingerprint,
    },
  )
  return caInfo({ dir, trustDomain, meshDomain, root, intermediate })
}

/** @throws MeshError MESH_PKI_PASSPHRASE */
function keyOptions(options: InitCaOptions): NewKeyOptions {
  const { pkcs11: token = null, passphrase, keyIterations = KEY_ITERATIONS } = options
  if (token === null && passphrase.reveal().length < MIN_PASSPHRASE_LENGTH)
    throw new MeshError(
      'MESH_PKI_PASSPHRASE',
      `the passphrase is shorter than ${MIN_PASSPHRASE_LENGTH} characters`,
    )
  if (!Number.isInteger(keyIterations) || keyIterations < LEAST_KEY_ITERATIONS)
    throw new TypeError(`keyIterations: must be a whole number from ${LEAST_KEY_ITERATIONS}`)
  return { token, passphrase, keyIterations }
}
