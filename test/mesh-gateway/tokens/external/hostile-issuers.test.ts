/** Issuers that answer what they should not. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import { createLocalJWKSet, exportJWK } from 'jose'
import { createExternalSource } from '../../../../mesh-gateway/src/tokens/external/external-source.ts'
import { startTokenIssuer, type TokenIssuer } from '../../../support/token-issuer.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { describeOutsideTokens } from './external-world.ts'

describeOutsideTokens('whose issuer', (world) => {
  const { closing, codeOf, entry, firstKey, open } = world

  const hostile: Record<string, (issuer: TokenIssuer) => void> = {
    'answers 500': (of) => of.serve((_, response) => response.writeHead(500).end('{}')),
    'answers 500 without end': (of) =>
      of.serve((_, response) => {
        response.on('error', () => {})
        response.writeHead(500).write(Buffer.alloc(300_000, 32))
      }),
    'answers with another status': (of) => {
      const body = JSON.stringify({ keys: [firstKey().jwk] })
      const statuses = [201, 302, 404]
      of.serve((_, response) => response.writeHead(statuses.shift() ?? 203).end(body))
    },
    'answers rubbish': (of) => of.serve((_, response) => response.end('<html>')),
    'answers no keys': (of) => of.serve((_, response) => response.end('{"keys":[]}')),
    'answers keys of another shape': (of) =>
      of.serve((_, response) => response.end('{"keys":{"length":1}}')),
    'answers without end': (of) =>
      of.serve((_, response) => {
        response.on('error', () => {})
        const fill = () => {
          while (response.writable && response.write(Buffer.alloc(65_536, 32)));
        }
        response.on('drain', fill)
        fill()
      }),
    'answers headers without end': (of) =>
      of.serve((_, response) => response.writeHead(200, { x: 'y'.repeat(100_000) }).end()),
    'answers what is not HTTP': (of) =>
      of.serve((_, response) => void response.socket?.end('SSH-2.0-x\r\n')),
    resets: (of) => of.serve((_, response) => void response.socket?.resetAndDestroy()),
    'cuts its answer short': (of) =>
      of.serve((_, response) => {
        response.writeHead(200, { 'content-length': '5000' }).write('{"keys":[')
        setImmediate(() => response.socket?.destroy())
      }),
  }
  for (const [what, misbehave] of Object.entries(hostile))
    it(`${what} keeps its last good keys for an hour`, async () => {
      const token = await world.issuer.token({ exp: Math.floor(world.nowMs / 1000) + 3599 })
      assert.equal(await codeOf(token), 'OK')
      misbehave(world.issuer)
      for (const minutes of [5, 20, 34]) {
        world.nowMs += minutes * 60_000
        const before = world.fetched.length
        assert.equal(await codeOf(token), 'OK', `after ${minutes} more minutes`)
        await waitFor('the attempt', () => world.fetched.length > before)
      }
      assert.deepEqual(
        world.fetched.map(([, ok]) => ok),
        [true, false, false, false],
      )
      world.nowMs += 59_000
      const late = await world.issuer.token({
        iat: Math.floor(world.nowMs / 1000),
        exp: Math.floor(world.nowMs / 1000) + 60,
      })
      assert.equal(await codeOf(late), 'OK')
      world.nowMs += 1_000
      assert.equal(await codeOf(late), 'MESH_TOKEN_ISSUER_UNAVAILABLE', 'though remembered')
      world.nowMs += 30_000
      assert.equal(await codeOf(late), 'MESH_TOKEN_ISSUER_UNAVAILABLE')
      world.issuer.serve(null)
      world.nowMs += 30_000
      assert.equal(await codeOf(late), 'OK')
    })

  it('may need 256 KiB for its keys, and no more', async () => {
    const body = JSON.stringify({ keys: [firstKey().jwk] })
    for (const [size, code] of [
      [262_144, 'OK'],
      [262_145, 'MESH_TOKEN_ISSUER_UNAVAILABLE'],
    ] as const) {
      world.issuer.serve((_, response) => response.end(body.padEnd(size, ' ')))
      await open()
      assert.equal(await codeOf(await world.issuer.token()), code)
      await world.verifier?.close()
    }
  })

  it('is picked to verify looks at iss itself', async () => {
    const outside = await open()
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    await outside.close()
    // one set of keys for two issuers, as some providers have for all their customers
    const neighbour = await startTokenIssuer({ iss: 'https://neighbour.example' })
    closing.push(neighbour.close)
    neighbour.keys.set('one', firstKey())
    await open([entry(world.issuer), { ...entry(neighbour), tenants: ['globex'] }])
    assert.equal(await codeOf(await neighbour.token()), 'MESH_TOKEN_TENANT')
    const source = createExternalSource({
      issuer: { ...(world.config?.tokens.issuers[0] ?? assert.fail()) },
      keys: {
        current: async () => ({
          find: createLocalJWKSet({ keys: [firstKey().jwk] }),
          digest: '',
        }),
        otherThan: async () => null,
        holds: () => true,
        untilMs: () => 0,
        onChange: () => () => {},
      },
      mapClaims: () => assert.fail('it was verified'),
      skewMs: 0,
      now: Date.now,
    })
    await assert.rejects(
      source.verify(await neighbour.token()),
      (error) => error instanceof MeshError && error.code === 'MESH_TOKEN_ISSUER',
    )
  })

  it('is not asked again for what is only badly signed', async () => {
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    world.nowMs += 60_000
    const [head, body, signature = ''] = (await world.issuer.token()).split('.')
    const forged = `${head}.${body}.${signature.split('').toReversed().join('')}`
    assert.equal(await codeOf(forged), 'MESH_TOKEN_SIGNATURE')
    assert.equal(world.issuer.asked(), 1)
  })

  it('publishes a private key is not believed by it, nor by one that is weak', async () => {
    const leaked = await world.issuer.addKey('leaked')
    leaked.jwk = { ...(await exportJWK(leaked.privateKey)), kid: 'leaked', alg: 'ES256' }
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
      format: 'jwk',
    })
    world.issuer.serve((_, response) =>
      response.end(
        JSON.stringify({
          keys: [leaked.jwk, { ...weak, kid: 'weak', alg: 'RS256' }, firstKey().jwk],
        }),
      ),
    )
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
    assert.equal(
      await codeOf(await world.issuer.token({}, { key: leaked })),
      'MESH_TOKEN_KEY_UNKNOWN',
    )
    const rs = await world.issuer.addKey('weak', 'RS256')
    assert.equal(await codeOf(await world.issuer.token({}, { key: rs })), 'MESH_TOKEN_KEY_UNKNOWN')
  })
})
