/** Issuers whose keys are behind a private CA, and are not shown to everybody, as the API server of Kubernetes. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { startTokenIssuer, type TokenIssuer } from '../../../support/token-issuer.ts'
import { describeOutsideTokens, HOST } from './external-world.ts'

describeOutsideTokens('whose issuer', (world) => {
  const { closing, codeOf, entry, firstKey, open } = world
  let dir: string
  const file = (name: string) => join(dir, name)
  const UNAVAILABLE = 'MESH_TOKEN_ISSUER_UNAVAILABLE'

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-issuer-'))
  })
  after(() => rm(dir, { recursive: true }))

  async function cluster(): Promise<TokenIssuer> {
    const issued = world.ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    await writeFile(file('ca.crt'), issued.roots)
    const tls = { cert: issued.certificateChain, key: issued.privateKey.reveal(), host: HOST }
    const secure = await startTokenIssuer({ tls })
    secure.keys.set('one', firstKey())
    closing.push(secure.close)
    return secure
  }

  /** Answers those that show the token. */
  function guarded(issuer: TokenIssuer, token: string): string[] {
    const shown: string[] = []
    issuer.serve(({ headers }, response) => {
      shown.push(headers.authorization ?? '')
      const known = headers.authorization === `Bearer ${token}`
      response
        .writeHead(known ? 200 : 401)
        .end(JSON.stringify({ keys: [...issuer.keys.values()].map(({ jwk }) => jwk) }))
    })
    return shown
  }

  async function code(entries: readonly object[]): Promise<string> {
    await open(entries)
    const found = await codeOf(await world.issuer.token())
    await world.verifier?.close()
    return found
  }

  it('has a private CA is believed by caFile, and no other issuer by it', async () => {
    const issuer = await cluster()
    const { roots } = world
    world.roots = rootCertificates[0] ?? ''
    try {
      assert.equal(await code([entry(issuer)]), UNAVAILABLE)
      assert.equal(await code([entry(issuer, { caFile: file('ca.crt') })]), 'OK')
      await writeFile(file('other.crt'), rootCertificates[1] ?? '')
      assert.equal(await code([entry(issuer, { caFile: file('other.crt') })]), UNAVAILABLE)
    } finally {
      world.roots = roots
    }
    // it stands in the place of the usual roots
    assert.equal(await code([entry(issuer, { caFile: file('other.crt') })]), UNAVAILABLE)
  })

  it('does not show its keys to everybody gets the token in tokenFile, as it is then', async () => {
    const issuer = await cluster()
    const shown = guarded(issuer, 'second')
    const secured = entry(issuer, { caFile: file('ca.crt'), tokenFile: file('token') })
    await writeFile(file('token'), 'first')
    await open([secured])
    assert.equal(await codeOf(await world.issuer.token()), UNAVAILABLE)
    // kubelet renews it
    await writeFile(file('token'), 'second\n')
    await world.verifier?.reload()
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    assert.equal(shown[0], 'Bearer first')
    assert.equal(shown.at(-1), 'Bearer second')
  })

  it('has files that are no good is not asked at all', async () => {
    const issuer = await cluster()
    const before = issuer.asked()
    await writeFile(file('empty'), '')
    await writeFile(file('garbage'), 'not PEM')
    await writeFile(file('two lines'), 'a\r\nx-header: b')
    await writeFile(file('large'), 'x'.repeat(100_000))
    for (const name of ['absent', 'empty', 'garbage', '.'])
      assert.equal(await code([entry(issuer, { caFile: file(name) })]), UNAVAILABLE, name)
    for (const name of ['absent', 'empty', 'two lines', 'large', '.']) {
      const files = { caFile: file('ca.crt'), tokenFile: file(name) }
      assert.equal(await code([entry(issuer, files)]), UNAVAILABLE, name)
    }
    assert.equal(issuer.asked(), before)
  })
})
