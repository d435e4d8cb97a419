/** Issuers that are slow, silent or away hold up nobody else. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import { startTokenIssuer } from '../../../support/token-issuer.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { describeOutsideTokens, HOST } from './external-world.ts'

describeOutsideTokens('whose issuer', (world) => {
  const { closing, codeOf, entry, firstKey, open, ownToken, verify } = world

  /** Accepts, and says nothing. */
  const startSilent = async () => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}).resume())
    })
    const port = await listenOnFreePort(server)
    const closed = once(server, 'close')
    closing.push(async () => {
      for (const socket of sockets) socket.destroy()
      if (server.listening) server.close()
      await closed
    })
    return { port, sockets, server, closed }
  }

  it('never answers hold up nobody else, and are refused in time', async () => {
    const { port, sockets } = await startSilent()
    const slow = await startTokenIssuer({ iss: 'https://slow.example' })
    closing.push(slow.close)
    await slow.addKey('one')
    const entries = [
      { ...entry(slow), jwksUri: `http://127.0.0.1:${port}/keys` },
      entry(world.issuer),
    ]
    // as long as it takes: that the others do not wait for it is no question of time
    await open(entries, 600_000)
    const token = await slow.token()
    let done = false
    const waits = codeOf(token).finally(() => {
      done = true
    })
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    assert.equal(await codeOf(await ownToken()), 'OK')
    assert.equal(done, false)
    await world.verifier?.close()
    assert.equal(await waits, 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    await open(entries, 300)
    assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    // and is not asked again for each token
    assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
    assert.equal(sockets.size, 2)
  })

  it('drips its answer are refused in time', async () => {
    world.issuer.serve((_, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(drip))
    })
    await open([entry(world.issuer)], 300)
    assert.equal(await codeOf(await world.issuer.token()), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
  })

  it('is away at the start are refused, and taken once it is there', async () => {
    const { jwksUri } = world.issuer
    const token = await world.issuer.token()
    await world.issuer.close()
    await open([{ ...entry(world.issuer), jwksUri }])
    await assert.rejects(
      async () => await verify(token),
      (error) => {
        assert.ok(error instanceof MeshError && error.row.retryable)
        assert.ok((error.retryAfterMs ?? 0) > 0 && (error.retryAfterMs ?? 0) <= 30_000)
        return true
      },
    )
    assert.deepEqual(world.fetched, [[world.issuer.iss, false]])
    const again = await startTokenIssuer()
    closing.push(again.close)
    await world.verifier?.close()
    again.keys.set('one', firstKey())
    await open([{ ...entry(again) }])
    assert.equal(await codeOf(token), 'OK')
  })

  it('accepts and says nothing over TLS, or has a name that DNS never answers, is refused in time', async () => {
    const { port, sockets, server, closed } = await startSilent()
    const token = await world.issuer.token()
    for (const host of [`${HOST}:${port}`, 'never.test']) {
      await open([{ ...entry(world.issuer), jwksUri: `https://${host}/keys` }], 200)
      assert.equal(await codeOf(token), 'MESH_TOKEN_ISSUER_UNAVAILABLE', host)
      await world.verifier?.close()
    }
    assert.equal(sockets.size, 1)
    server.close()
    // the gateway has let go of it
    await closed
  })

  it('is asked once at the start, before any token comes, and let go of at the end', async () => {
    const asked = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    world.issuer.serve((_, response) => {
      response.on('close', gone.resolve)
      asked.resolve()
    })
    const opened = await open([entry(world.issuer)], 600_000)
    await asked.promise
    const waiting = codeOf(await world.issuer.token())
    await opened.close()
    await gone.promise
    assert.equal(await waiting, 'MESH_TOKEN_ISSUER_UNAVAILABLE')
  })

  it('is slow makes a thousand tokens wait, and no more', async () => {
    let release = () => {}
    world.issuer.serve((_, response) => {
      release = () => {
        world.issuer.serve(null)
        response.end(JSON.stringify({ keys: [firstKey().jwk] }))
      }
    })
    // as long as it takes to sign them
    await open([entry(world.issuer)], 600_000)
    const tokens = await Promise.all(
      Array.from({ length: 1_050 }, (_, i) => world.issuer.token({ jti: `t-${i}` })),
    )
    const codes = tokens.map(codeOf)
    await waitFor('the question', () => world.issuer.asked() === 1)
    release()
    const all = await Promise.all(codes)
    assert.equal(all.filter((code) => code === 'OK').length, 1_000)
    assert.equal(all.filter((code) => code === 'MESH_TOKEN_ISSUER_UNAVAILABLE').length, 50)
    assert.equal(world.issuer.asked(), 1)
  })
})
