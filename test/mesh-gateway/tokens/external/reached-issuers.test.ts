/** Issuers are reached where their address says, over verified TLS, and nowhere else. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { rootCertificates } from 'node:tls'
import { closeServer, listenOnFreePort } from '../../../support/http-origin.ts'
import { withChecksOff } from '../../../support/tls-checks-off.ts'
import { startTokenIssuer } from '../../../support/token-issuer.ts'
import { describeOutsideTokens, HOST } from './external-world.ts'

describeOutsideTokens('whose issuer', (world) => {
  const { closing, codeOf, entry, firstKey, open } = world

  it('without TLS is on this machine, whatever DNS says of localhost', async () => {
    const { port } = new URL(world.issuer.jwksUri)
    // hostile, and on the address that DNS answers with; its port is the same
    const hostile = await startTokenIssuer()
    await hostile.addKey('one')
    const liar = createServer((_, response) =>
      response.end(JSON.stringify({ keys: [hostile.keys.get('one')?.jwk] })),
    )
    liar.listen(Number(port), '127.0.0.9')
    await once(liar, 'listening')
    closing.push(hostile.close, async () => {
      liar.close()
      await once(liar, 'close')
    })
    await open([{ ...entry(world.issuer), jwksUri: `http://localhost:${port}/keys` }])
    const forged = await hostile.token({ iss: world.issuer.iss })
    assert.equal(await codeOf(forged), 'MESH_TOKEN_SIGNATURE')
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
  })

  it('redirects is not followed', async () => {
    let followed = 0
    const other = await startTokenIssuer()
    closing.push(other.close)
    other.keys.set('one', firstKey())
    other.serve((_, response) => {
      followed += 1
      response.end()
    })
    for (const status of [301, 302, 307, 308]) {
      world.issuer.serve((_, response) =>
        response.writeHead(status, { location: other.jwksUri }).end(),
      )
      await open()
      assert.equal(await codeOf(await world.issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      await world.verifier?.close()
    }
    assert.equal(followed, 0)
  })

  it('speaks TLS is believed by the roots of egress.ca, and by no other certificate', async () => {
    const issued = world.ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    const pair = { cert: issued.certificateChain, key: issued.privateKey.reveal() }
    const secure = await startTokenIssuer({ tls: { ...pair, host: HOST } })
    const misnamed = await startTokenIssuer({ tls: { ...pair, host: 'localhost' } })
    closing.push(secure.close, misnamed.close)
    secure.keys.set('one', firstKey())
    misnamed.keys.set('one', firstKey())
    await open([entry(secure)])
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    await world.verifier?.close()
    await open([entry(misnamed)])
    assert.equal(await codeOf(await world.issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    await world.verifier?.close()
    world.roots = rootCertificates[0] ?? ''
    await open([entry(secure)])
    assert.equal(await codeOf(await world.issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    await world.verifier?.close()
    await withChecksOff(async () => {
      await open([entry(secure)])
      const code = await codeOf(await world.issuer.token())
      assert.equal(code, 'MESH_TOKEN_ISSUER_UNAVAILABLE', 'the environment changes nothing')
    })
    world.roots = issued.roots
    assert.equal(misnamed.asked() + secure.asked(), 1)
  })

  it('is reached directly, whatever proxy the environment names', async () => {
    let proxied = 0
    const proxy = createServer((_, response) => {
      proxied += 1
      response.end()
    })
    const port = await listenOnFreePort(proxy)
    closing.push(() => closeServer(proxy))
    const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'all_proxy', 'NODE_USE_ENV_PROXY']
    const before = names.map((name) => [name, process.env[name]] as const)
    closing.push(() => {
      for (const [name, value] of before)
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
    })
    for (const name of names) process.env[name] = `http://127.0.0.1:${port}`
    process.env.NODE_USE_ENV_PROXY = '1'
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    assert.equal(proxied, 0)
  })
})
