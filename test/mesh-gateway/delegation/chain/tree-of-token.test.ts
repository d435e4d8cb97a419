/** A callee says which tree of delegations its task is part of: what counts as its word, and what it cannot say. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { ServerHttp2Stream } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate, type ErrorCode, MeshError, uuidV7 } from '@clawmesh/proto'
import { SignJWT } from 'jose'
import {
  type ChainTokens,
  createChainTokens,
} from '../../../../mesh-gateway/src/delegation/chain/chain-tokens.ts'
import type { ChainLink } from '../../../../mesh-gateway/src/delegation/chain/extend-chain.ts'
import { openKeyRing } from '../../../../mesh-gateway/src/tokens/key-ring.ts'
import { call, echo, type Fixture, makeFixture } from '../fixture.ts'

const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`
const link = (more: Partial<ChainLink> = {}): ChainLink => ({
  ...{ sub: id('planner'), aud: id('researcher'), act: { sub: id('planner') } },
  ...{ txn: 'the-root', hop: 1, max_hops: 8, iat: 1_000, exp: 2_000 },
  ...more,
})

describe('the tree of a task', () => {
  let dir: string
  let keyRing: Awaited<ReturnType<typeof openKeyRing>>
  let tokens: ChainTokens
  const spiffe = createSpiffeTemplate({ trustDomain: 'mesh.internal' })

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-tree-'))
    keyRing = await openKeyRing({ dir })
    tokens = createChainTokens({ keyRing, issuer: 'https://gateway', spiffe })
  })
  after(async () => {
    tokens.close()
    await keyRing.close()
    await rm(dir, { recursive: true })
  })
  const fails = (work: () => unknown, code: ErrorCode) =>
    assert.throws(work, (error) => error instanceof MeshError && error.code === code)

  it('is told by the token that came with it, long after that has expired', async () => {
    const { token } = await tokens.sign(link())
    const { claims, signed } = tokens.tree(token, id('researcher'))
    assert.ok(signed)
    assert.equal(claims.txn, 'the-root')
    assert.deepEqual(claims.act, { sub: id('planner') })
  })

  it('is the holder’s word without a signature that holds', async () => {
    const { token } = await tokens.sign(link())
    const [head = '', body = '', signature = ''] = token.split('.')
    const other = (await tokens.sign(link({ txn: 'another' }))).token.split('.')[1]
    for (const changed of [
      `${head}.${body}.`,
      `${head}.${other}.${signature}`,
      `${head}.${body}.x`,
    ])
      assert.equal(tokens.tree(changed, id('researcher')).signed, false)
    const gone = { verifying: () => null, sign: keyRing.sign, onChange: () => () => {} }
    const without = createChainTokens({ keyRing: gone, issuer: 'https://gateway', spiffe })
    assert.equal(without.tree(token, id('researcher')).signed, false)
    without.close()
  })

  it('is not told by what is no delegation token, or is another agent’s', async () => {
    const { token, claims } = await tokens.sign(link())
    fails(() => tokens.tree(token, id('writer')), 'MESH_TOKEN_AUDIENCE')
    const { kid, privateKey } = keyRing.active()
    assert.ok(privateKey !== null)
    const jwt = (typ: string, iss: string) =>
      new SignJWT({ ...claims, iss })
        .setProtectedHeader({ alg: 'ES256', kid, typ })
        .sign(privateKey)
    const wrong = [
      await jwt('JWT', 'https://gateway'),
      await jwt('clawmesh-delegation+jwt', 'https://elsewhere'),
      ...['', '.', '..', 'a.b.c', 'e30.e30.', `${token}.`, token.slice(0, 50), 'x'.repeat(9_000)],
    ]
    for (const one of wrong) fails(() => tokens.tree(one, id('researcher')), 'MESH_TOKEN_MALFORMED')
  })
})

describe('a call about a task', () => {
  let fixture: Fixture
  let planner: IdentityStore
  let token = ''
  /** What the callee says of the next call; null says nothing. */
  let says: string | null = null

  before(async () => {
    fixture = await makeFixture({ tenant: 'acme', delegation: { allow: [{ from: '*', to: '*' }] } })
    const identity = (agent: string) =>
      fixture.ca.agentDir({ tenant: 'acme', agent }).then((dir) => fixture.ca.open(dir))
    planner = await identity('planner')
    const answer = (stream: ServerHttp2Stream, headers: readonly string[]) => {
      const at = headers.indexOf('x-mesh-delegation')
      if (at >= 0) token = headers[at + 1] ?? ''
      if (says === null) return echo(stream)
      const head = { ':status': 200, 'content-type': 'application/grpc', 'x-mesh-delegation': says }
      stream.respond(head, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.pipe(stream)
      return undefined
    }
    for (const agent of ['researcher', 'writer']) await fixture.peer(agent, answer)
  })
  after(() => fixture.close())

  async function ask(to: string, method: string, from = planner) {
    const record = fixture.nextRecord()
    const answer = await call(await fixture.connect(from), {
      ':path': `/clawmesh.delegation.v1.DelegationService/${method}`,
      ':authority': `${to}.acme.mesh.internal`,
      'x-mesh-delegation-id': uuidV7(),
    })
    return { answer, record: await record }
  }

  it('is recorded in the tree that its callee names, and without one in none', async () => {
    says = null
    const begun = await ask('researcher', 'Delegate')
    const told = token
    assert.equal((await ask('researcher', 'Watch')).record.root_id, null)
    says = told
    for (const method of ['Watch', 'Get', 'Cancel', 'SendInput']) {
      const { answer, record } = await ask('researcher', method)
      assert.equal(answer.status, 0)
      assert.equal(answer.headers['x-mesh-delegation'], undefined, 'it is for the gateway alone')
      assert.ok(record.root_id !== null && record.root_id === begun.record.root_id)
      assert.deepEqual(record.chain, [id('planner')])
      assert.equal(record.hop, 1)
    }
    // what nobody signed says nothing in the record
    says = told.slice(0, told.lastIndexOf('.') + 1)
    const { answer, record } = await ask('researcher', 'Watch')
    assert.equal(answer.status, 0)
    assert.equal(record.root_id, null)
  })

  it('is refused when its callee names a tree of somebody else’s', async () => {
    says = null
    await ask('researcher', 'Delegate')
    const told = token
    says = told
    const stranger = await fixture.ca.open(
      await fixture.ca.agentDir({ tenant: 'acme', agent: 'stranger' }),
    )
    for (const { answer } of [
      await ask('writer', 'Watch'),
      await ask('researcher', 'Watch', stranger),
    ])
      assert.equal(answer.error?.code, 'MESH_PEER_PROTOCOL')
    says = 'nonsense'
    assert.equal((await ask('researcher', 'Get')).answer.error?.code, 'MESH_PEER_PROTOCOL')
  })
})
