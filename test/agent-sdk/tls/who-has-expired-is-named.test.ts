/** An expired certificate is that of somebody: the words say whose, since the side that reads them may have a good one. */
import assert from 'node:assert/strict'
import { channelCredentials, listenForCalls } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import type { MeshError } from '@clawmesh/proto'
import * as grpc from '@grpc/grpc-js'
import { createExpiryWatch } from '../../../agent-sdk/src/identity/expiry-watch.ts'
import { spiffe } from '../../support/test-ca.ts'
import { type Minted, mint } from './mint.ts'
import { fixed, PLANNER, present, rootsOf, snapshotOf } from './present.ts'

const HOUR = 3_600_000
const ENDED = { notBefore: new Date(Date.now() - 2 * HOUR), notAfter: new Date(Date.now() - HOUR) }
const GATEWAY = 'spiffe://mesh.internal/gateway/gw'

describe('a certificate that has expired', () => {
  const root = mint({ name: 'root', pathLength: null })

  /** What an agent with a good certificate is told of a gateway with this one. */
  async function toldOf(gateway: Minted, ...more: readonly Minted[]): Promise<MeshError> {
    const server = new grpc.Server()
    const roots = rootsOf(root)
    const store = fixed(snapshotOf(roots, gateway, ...more))
    const listener = await listenForCalls({ server, store, spiffe })
    const refused = Promise.withResolvers<MeshError>()
    const agent = snapshotOf(roots, mint({ issuer: root, uris: [PLANNER] }))
    const credentials = channelCredentials(fixed(agent), {
      spiffe,
      expect: checkIsGateway,
      onRefused: refused.resolve,
    })
    const client = new grpc.Client(`127.0.0.1:${listener.address.port}`, credentials)
    try {
      client.waitForReady(Date.now() + 15_000, () => {})
      return await refused.promise
    } finally {
      client.close()
      await listener.close()
      server.forceShutdown()
    }
  }

  it('of the gateway is named to the agent that connects', async () => {
    const told = await toldOf(mint({ issuer: root, uris: [GATEWAY], ...ENDED }))
    assert.equal(told.code, 'MESH_IDENTITY_EXPIRED')
    const end = ENDED.notAfter.toISOString().slice(0, -5)
    assert.ok(told.message.startsWith(`the certificate of ${GATEWAY} expired at ${end}`))
    assert.match(told.hint, /renew it where it is used/)
  })

  it('of a CA above it is told from its own', async () => {
    const int = mint({ name: 'int', issuer: root, pathLength: 0, ...ENDED })
    const told = await toldOf(mint({ issuer: int, uris: [GATEWAY] }), int)
    assert.equal(told.code, 'MESH_IDENTITY_EXPIRED')
    assert.equal(told.message, `a CA above the certificate of ${GATEWAY} has expired`)
  })

  it('of a client is named by the gate of the server, so a gateway’s reaches its caller as the gateway’s', async () => {
    for (const uri of [PLANNER, GATEWAY]) {
      const { asCaller } = await present([root], mint({ issuer: root, uris: [uri], ...ENDED }))
      assert.ok(asCaller instanceof Error)
      assert.match(asCaller.message, new RegExp(`^the certificate of ${uri} expired at `))
    }
  })

  it('is announced in its own log at a third and at a tenth of its life, and when it has ended, once each', () => {
    const one = mint({ issuer: root, uris: [GATEWAY] })
    const snapshot = { ...snapshotOf(rootsOf(root), one), identity: spiffe.gateway('gw') }
    const said: string[] = []
    const log = {
      debug() {},
      info() {},
      warn: (_: object, message: string) => void said.push(`warn ${message}`),
      error: (_: object, message: string) => void said.push(`error ${message}`),
    }
    const watch = createExpiryWatch(log)
    const end = snapshot.notAfter.getTime()
    // it lives for two hours
    for (const left of [HOUR, 0.6 * HOUR, 0.5 * HOUR, 0.15 * HOUR, 0.1 * HOUR, -1, -2])
      watch.look(snapshot, end - left)
    const at = snapshot.notAfter.toISOString()
    assert.deepEqual(said, [
      `warn the certificate of ${GATEWAY} ends at ${at}, in 36 minutes, and was not renewed`,
      `warn the certificate of ${GATEWAY} ends at ${at}, in 9 minutes, and was not renewed`,
      `error the certificate of ${GATEWAY} has expired and was not renewed: the other side of every new connection refuses it`,
    ])
    // a renewal begins anew, and one that came in time is not spoken of
    watch.look({ ...snapshot, generation: 2 }, end - HOUR)
    assert.equal(said.length, 3)
    watch.look({ ...snapshot, generation: 2 }, end - 1)
    assert.equal(said.length, 4)
  })
})
