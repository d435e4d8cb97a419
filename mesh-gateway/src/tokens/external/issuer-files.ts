/**
 * The files with which an issuer's keys are fetched: the CAs of its server, and a bearer token. Both are read for each
 * fetch, minutes apart, since kubelet replaces them. What cannot be used makes the fetch fail: keys that were fetched
 * before go on.
 */
import { createSecureContext, type SecureContext } from 'node:tls'
import { describeFileFault, parseCertificates, readWhole } from '@clawmesh/agent-sdk/mesh'
import { MeshError, Secret } from '@clawmesh/proto'
import { issuerUnavailable } from './issuer-unavailable.ts'

const MAX_CA_BYTES = 1_048_576
const MAX_CERTIFICATES = 1_000
const MAX_TOKEN_BYTES = 16_384
/** RFC 6750, section 2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/

/** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE */
export async function readIssuerTrust(file: string): Promise<SecureContext> {
  const text = (await read('caFile', file, MAX_CA_BYTES)).toString('utf8')
  try {
    const ca = parseCertificates(text, file, MAX_CERTIFICATES).map((one) => one.toString())
    return createSecureContext({ ca, minVersion: 'TLSv1.2' })
  } catch (cause) {
    const why = cause instanceof MeshError ? cause.message : `${file} is not PEM`
    throw issuerUnavailable(`its caFile cannot be used (${why})`, { cause })
  }
}

/** @throws MeshError MESH_TOKEN_ISSUER_UNAVAILABLE */
export async function readIssuerToken(file: string): Promise<Secret<string>> {
  const token = (await read('tokenFile', file, MAX_TOKEN_BYTES)).toString('utf8').trim()
  if (!BEARER.test(token)) throw issuerUnavailable(`its tokenFile holds no token: ${file}`)
  return new Secret(token)
}

async function read(key: string, file: string, maxBytes: number): Promise<Buffer> {
  try {
    return await readWhole(file, { maxBytes })
  } catch (cause) {
    throw issuerUnavailable(`its ${key} cannot be read (${describeFileFault(cause)})`, { cause })
  }
}
