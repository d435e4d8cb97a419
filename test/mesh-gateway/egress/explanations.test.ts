/** The usual mistakes, in every form: what is refused says which gate, why, and what to do, under the id that the audit log has. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/proto'
import type { FixtureOptions } from './fixture.ts'
import { refusalOf, sendRaw } from './fixture.ts'
import { basic, setUp } from './setup.ts'

const FORMS = ['connect', 'absolute', 'relay'] as const

interface Mistake {
  readonly what: string
  /** `host:port` that is asked for. */
  readonly to: string
  readonly code: string
  readonly hint: RegExp
  readonly status?: number
  readonly destinations?: string[]
  readonly tenant?: string
  readonly options?: FixtureOptions
}

const MISTAKES: readonly Mistake[] = [
  {
    what: 'a name that differs from an allowed one in the token',
    to: 'api.openai.com:443',
    destinations: ['openai.com'],
    code: 'MESH_TOKEN_DESTINATION',
    hint: /api\.openai\.com is not in allowed_destinations; openai\.com is/,
  },
  {
    what: 'a name that differs from an allowed one in policy',
    to: 'www.openai.com:443',
    destinations: ['*.openai.com'],
    code: 'MESH_POLICY_NOT_ALLOWED',
    hint: /openai\.com/,
  },
  {
    what: 'an expired token',
    to: 'api.openai.com:443',
    code: 'MESH_TOKEN_EXPIRED',
    hint: /token|clocks/,
    options: {
      port: { verifyToken: () => Promise.reject(new MeshError('MESH_TOKEN_EXPIRED')) },
    },
  },
  {
    what: 'clocks that differ',
    to: 'api.openai.com:443',
    code: 'MESH_TOKEN_NOT_YET_VALID',
    hint: /clock/,
    options: {
      port: { verifyToken: () => Promise.reject(new MeshError('MESH_TOKEN_NOT_YET_VALID')) },
    },
  },
  {
    what: 'a port that is not listed',
    to: 'api.openai.com:8443',
    code: 'MESH_EGRESS_PORT_REFUSED',
    hint: /8443|port/,
  },
  {
    what: 'an agent in the wrong tenant',
    to: 'api.openai.com:443',
    tenant: 'globex',
    code: 'MESH_POLICY_NO_TENANT',
    hint: /globex|tenant/,
  },
]

describe('a mistake', () => {
  const setup = setUp()
  afterEach(setup.close)

  const head = (form: (typeof FORMS)[number], to: string, auth: string) =>
    form === 'connect'
      ? `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${auth}\r\n`
      : `GET ${form === 'absolute' ? `http://${to}` : ''}/ HTTP/1.1\r\nHost: ${to}\r\n${auth}Connection: close\r\n\r\n`

  for (const mistake of MISTAKES)
    for (const form of FORMS)
      it(`of ${mistake.what} is explained, in ${form} form`, async () => {
        const { to, code, hint, destinations = ['*.openai.com'], tenant = 'acme' } = mistake
        const egress = await setup.egress(443, {
          ...mistake.options,
          egress: { allow: ['api.openai.com'] },
        })
        const auth = basic(await egress.token({ destinations, tenant }))
        const answer = await sendRaw(egress.number, head(form, to, auth))
        const refusal = refusalOf(answer)
        assert.deepEqual(refusal.code, code)
        assert.match(refusal.hint, hint)
        assert.match(answer, /^HTTP\/1\.1 403 /)
        if (form === 'connect') {
          const [line = ''] = answer.split('\r\n')
          assert.ok(line.startsWith(`HTTP/1.1 403 ${code} `), line)
          assert.match(line, hint)
          assert.match(line, /^[\x20-\x7e]+$/)
        }
        const record = await egress.record(0)
        assert.deepEqual(
          [record.request_id, record.reason, record.status, record.action_allowed],
          [refusal.request_id, code, 403, false],
        )
        assert.match(answer, new RegExp(`\r\nx-request-id: ${refusal.request_id}\r\n`))
        assert.deepEqual(egress.asked, [])
      })

  for (const form of FORMS)
    it(`keeps the id that the client gave its request, in ${form} form, and makes one where it gave none that is fit`, async () => {
      const egress = await setup.egress(443)
      for (const [given, kept] of [
        ['job-17.a_b', true],
        ['a b', false],
        ['x'.repeat(200), false],
        ['\xff', false],
      ] as const) {
        const fields = `X-Request-Id: ${given}\r\n`
        const refusal = refusalOf(
          await sendRaw(egress.number, head(form, 'api.openai.com:443', fields)),
        )
        assert.equal(refusal.request_id === given, kept)
        assert.equal(egress.records.at(-1)?.request_id, refusal.request_id)
      }
    })

  it('of a tunnel that brings its token in Authorization is told apart: only the other forms take it there', async () => {
    const { port } = await setup.http((_, response) => response.end('ok'))
    const host = `api.test:${port}`
    const egress = await setup.egress(port, { egress: { allow: [{ host, scheme: 'http' }] } })
    const auth = `Authorization: Bearer ${await egress.token({ destinations: [host] })}\r\n`
    assert.match(await sendRaw(egress.number, head('connect', host, auth)), /^HTTP\/1\.1 407 /)
    for (const form of ['absolute', 'relay'] as const)
      assert.match(await sendRaw(egress.number, head(form, host, auth)), /^HTTP\/1\.1 200 /)
  })
})
