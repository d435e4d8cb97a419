import assert from 'node:assert/strict'
import { join } from 'node:path'
import { exportJWK } from 'jose'
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import { examine } from '../../../mesh-gateway/src/doctor/examine.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { startTokenIssuer, type TokenIssuer } from '../../support/token-issuer.ts'

describeClosing('what the doctor says of other issuers of tokens', () => {
  let ca: TestCa
  let issuer: TokenIssuer
  before(async () => {
    ca = await makeTestCa()
  })
  beforeEach(async () => {
    issuer = await startTokenIssuer()
    await issuer.addKey('one')
  })
  afterEach(() => issuer.close())
  after(() => ca.close())

  const checkOf = async (
    issuers: readonly { iss: string; jwksUri: string }[] = [issuer],
    more: object = {},
  ) => {
    const listed = issuers.map(({ iss, jwksUri }) => ({ issuer: iss, jwksUri, tenants: ['acme'] }))
    const value = {
      trustDomain: 'mesh.internal',
      ...{ identity: { dir: 'i' }, policy: { dir: 'p' }, keys: { dir: 'k' } },
      tokens: { issuers: listed },
      ...Object.fromEntries(['delegation', 'admin'].map((n) => [n, { listen: '127.0.0.1:0' }])),
      egress: { listen: '127.0.0.1:0', ...more },
    }
    const { config } = resolveConfig({
      file: { path: 'gateway.json', bytes: Buffer.from(JSON.stringify(value)) },
      ...{ env: {}, flags: {}, cwd: ca.dir },
    })
    const results = await examine({ config, env: {}, nodeVersion: process.version })
    return results.find(({ check }) => check === 'token issuers')
  }

  it('is nothing where there are none, and that all is well where it is', async () => {
    assert.equal(await checkOf([]), undefined)
    const found = await checkOf()
    assert.deepEqual(found, { check: 'token issuers', about: issuer.iss, findings: [] })
  })

  it('is which of them cannot be asked, why, and how to look', async () => {
    const away = { iss: 'https://away.example', jwksUri: issuer.jwksUri }
    const closed = await startTokenIssuer()
    await closed.close()
    away.jwksUri = closed.jwksUri
    const found = await checkOf([issuer, away])
    assert.equal(found?.findings.length, 1)
    const [finding] = found?.findings ?? []
    assert.match(finding?.what ?? '', /^https:\/\/away\.example: .*ECONNREFUSED/)
    assert.match(finding?.why ?? '', /MESH_TOKEN_ISSUER_UNAVAILABLE/)
    assert.ok(finding?.todo.startsWith(`curl -v ${away.jwksUri}`))
  })

  it('is what is wrong with their keys', async () => {
    issuer.serve((_, response) => response.end('{"keys":[]}'))
    assert.match((await checkOf())?.findings[0]?.what ?? '', /no key that can be used$/)
    issuer.serve(null)
    const { privateKey } = await issuer.addKey('two')
    const leaked = await issuer.addKey('leaked')
    leaked.jwk = await exportJWK(privateKey)
    assert.match((await checkOf())?.findings[0]?.what ?? '', /one holds private or secret members$/)
    const { d } = leaked.jwk
    assert.ok(d !== undefined && !JSON.stringify(await checkOf()).includes(d))
    leaked.jwk = { ...(issuer.keys.get('two')?.jwk ?? {}) }
    assert.match((await checkOf())?.findings[0]?.what ?? '', /cannot be told apart by kid$/)
  })

  it('is that egress.ca is not good, which they are believed by', async () => {
    const found = await checkOf([issuer], { ca: join(ca.dir, 'nothing.pem') })
    assert.match(found?.findings[0]?.what ?? '', /nothing\.pem cannot be read \(ENOENT\)$/)
  })
})
