/** What TLS says of a handshake that failed, in the codes of the mesh: nothing that is not known is taken for trust. */
import assert from 'node:assert/strict'
import { type ErrorCode, MeshError } from '@clawmesh/proto'
import {
  codeOfVerifyError,
  handshakeFailure,
  verifyFailure,
} from '../../../agent-sdk/src/tls/verify-errors.ts'

const HOUR = 3_600_000
const ID = 'spiffe://mesh.internal/tenant/acme/agent/planner'
const shownUntil = (notAfter: number) => ({
  id: ID,
  notBefore: new Date(0),
  notAfter: new Date(notAfter),
})
const coded = (code: unknown) => Object.assign(new Error('words of OpenSSL'), { code })

describe('the verdict of TLS on a certificate', () => {
  const codes: [name: string, code: ErrorCode][] = [
    ['CERT_HAS_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
    ['CERT_NOT_YET_VALID', 'MESH_IDENTITY_NOT_YET_VALID'],
    ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'MESH_IDENTITY_NO_CERTIFICATE'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'MESH_IDENTITY_NO_CERTIFICATE'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'MESH_IDENTITY_UNTRUSTED'],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'MESH_IDENTITY_EXPIRED'],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'MESH_IDENTITY_UNTRUSTED'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'MESH_IDENTITY_UNTRUSTED'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'MESH_IDENTITY_UNTRUSTED'],
    ['CERT_REVOKED', 'MESH_IDENTITY_UNTRUSTED'],
    ['UNSPECIFIED', 'MESH_IDENTITY_UNTRUSTED'],
  ]
  for (const [name, code] of codes)
    it(`${name} is ${code}, given as a text or as the code of an error`, () => {
      for (const verdict of [name, coded(name)]) {
        assert.equal(codeOfVerifyError(verdict), code)
        const failure = verifyFailure(verdict)
        assert.equal(failure.code, code)
        assert.equal(failure.cause, verdict)
        assert.deepEqual(failure.facts, { tls: name })
      }
      assert.equal(handshakeFailure(coded(name))?.code, code)
    })

  it('that is not known is not trusted, and none of its words are repeated', () => {
    const unknown = [
      'A_VERDICT_OF_TOMORROW',
      '',
      null,
      undefined,
      7,
      {},
      coded(7),
      coded(undefined),
    ]
    for (const verdict of unknown) {
      assert.equal(codeOfVerifyError(verdict), 'MESH_IDENTITY_UNTRUSTED')
      const failure = verifyFailure(verdict)
      assert.equal(failure.code, 'MESH_IDENTITY_UNTRUSTED')
      assert.deepEqual(failure.facts, {})
      assert.doesNotMatch(failure.message, /TOMORROW/)
    }
  })

  it('is no reason of a connection that broke for another one', () => {
    for (const error of [coded('ECONNRESET'), new Error('x'), null, 'ECONNREFUSED', { code: 7 }])
      assert.equal(handshakeFailure(error), null)
  })

  it('is passed on as it is when a check of the mesh has given it', () => {
    const refused = new MeshError('MESH_PEER_MISMATCH')
    assert.equal(handshakeFailure(refused), refused)
  })

  it('says what a certificate or a CA above it lacks', () => {
    const told = (name: string) => {
      const { message, hint } = verifyFailure(name)
      return `${message}; ${hint}`
    }
    assert.match(
      told('INVALID_PURPOSE'),
      /not for TLS clients and servers; .*serverAuth and clientAuth/,
    )
    assert.match(told('INVALID_CA'), /not one of a CA; .*CA:TRUE .*keyCertSign/)
    assert.match(
      told('PATH_LENGTH_EXCEEDED'),
      /may not have so many CAs below it; issue it from a CA/,
    )
  })

  it('says whose certificate has expired, and when, or that a CA above it has', () => {
    const said = (name: string, shown: ReturnType<typeof shownUntil> | null) =>
      verifyFailure(name, shown).message
    const end = Date.now() - HOUR
    const at = new Date(end).toISOString()
    assert.equal(said('CERT_HAS_EXPIRED', null), 'the certificate of the other side expired')
    assert.equal(
      said('CERT_HAS_EXPIRED', shownUntil(end)),
      `the certificate of ${ID} expired at ${at}`,
    )
    assert.equal(
      said('CERT_HAS_EXPIRED', shownUntil(Date.now() + HOUR)),
      `a CA above the certificate of ${ID} has expired`,
    )
    assert.equal(
      said('CERT_NOT_YET_VALID', shownUntil(end)),
      `the certificate of ${ID}, or a CA above it, is not valid yet`,
    )
    assert.equal(
      said('CERT_NOT_YET_VALID', null),
      'the certificate of the other side, or a CA above it, is not valid yet',
    )
    assert.equal(
      said('ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', shownUntil(end)),
      'the other side says that our certificate has expired',
    )
    for (const name of ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])
      assert.match(verifyFailure(name).hint, /^renew it where it is used, and check the clocks/)
    // what is not about time says nothing of it
    assert.doesNotMatch(said('CERT_REVOKED', shownUntil(end)), /expired|valid yet/)
  })
})
