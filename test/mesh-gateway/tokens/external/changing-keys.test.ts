/** Keys that an issuer publishes anew or takes back. */
import assert from 'node:assert/strict'
import { waitFor } from '../../../support/wait-for.ts'
import { describeOutsideTokens, encode } from './external-world.ts'

describeOutsideTokens('when keys change at the issuer', (world) => {
  const { codeOf, firstKey, verify } = world

  it('a new key is seen at its first token, an old one verifies no longer once the set is fetched anew', async () => {
    const old = firstKey()
    const token = await world.issuer.token()
    await verify(token)
    world.issuer.keys.clear()
    const key = await world.issuer.addKey('two')
    world.nowMs += 30_000
    assert.equal(world.verifier?.verify(token) instanceof Promise, false, 'remembered')
    assert.equal(await codeOf(await world.issuer.token({}, { key })), 'OK')
    assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
    assert.equal(await codeOf(await world.issuer.token({}, { key: old })), 'MESH_TOKEN_KEY_UNKNOWN')
    assert.equal(world.issuer.asked(), 2)
  })

  it('a key that was taken back verifies for five minutes at most, remembered or not', async () => {
    const token = await world.issuer.token({ exp: Math.floor(world.nowMs / 1000) + 3000 })
    await verify(token)
    world.issuer.keys.clear()
    await world.issuer.addKey('two')
    world.nowMs += 299_000
    assert.equal(await codeOf(token), 'OK')
    await waitFor('the set to be fetched ahead of its time', () => world.issuer.asked() === 2)
    await waitFor('it to be taken', async () => (await codeOf(token)) !== 'OK')
    assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
  })

  it('and nobody asked for long, they are fetched before a token is believed', async () => {
    const token = await world.issuer.token({ exp: Math.floor(world.nowMs / 1000) + 3000 })
    await verify(token)
    world.issuer.keys.clear()
    await world.issuer.addKey('two')
    world.nowMs += 300_000
    assert.equal(await codeOf(token), 'MESH_TOKEN_KEY_UNKNOWN')
  })

  it('ten thousand strange kids cause one fetch in 30 seconds, and good tokens go on', async () => {
    await verify(await world.issuer.token())
    const [head = '', body = '', signature = ''] = (await world.issuer.token()).split('.')
    assert.ok(head.length > 0)
    const flood = async () => {
      for (let i = 0; i < 5_000; i += 1)
        assert.equal(
          await codeOf(`${encode({ alg: 'ES256', kid: `kid-${i}` })}.${body}.${signature}`),
          'MESH_TOKEN_KEY_UNKNOWN',
        )
    }
    await flood()
    assert.equal(world.issuer.asked(), 1)
    world.nowMs += 30_000
    await flood()
    assert.equal(world.issuer.asked(), 2)
    assert.equal(await codeOf(await world.issuer.token()), 'OK')
  })
})
