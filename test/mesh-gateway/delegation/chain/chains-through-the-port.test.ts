import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import type { IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { type DelegationClaims, isUuidV7, uuidV7 } from '@clawmesh/proto'
import { decodeJwt } from 'jose'
import { type Answer, call, echo, type Fixture, frame, GATEWAY, makeFixture } from '../fixture.ts'

const DELEGATE = '/clawmesh.delegation.v1.DelegationService/Delegate'
const id = (agent: string) => `spiffe://mesh.internal/tenant/acme/agent/${agent}`
const anybody = [{ from: '*', to: '*' }]

describe('chains of delegation through the port', () => {
  let mesh: Fixture
  const stores = new Map<string, IdentityStore>()
  const tokens = new Map<string, string>()

  before(async () => {
    mesh = await makeFixture({ tenant: 'acme', delegation: { allow: anybody } })
    for (const agent of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const store = await mesh.ca.open(await mesh.ca.agentDir({ tenant: 'acme', agent }))
      stores.set(agent, store)
      await mesh.peer(agent, keepToken(agent), store)
    }
  })
  after(() => mesh.close())
  beforeEach(() => {
    tokens.clear()
    mesh.setPolicy({ tenant: 'acme', delegation: { allow: anybody } })
  })

  function keepToken(agent: string) {
    return (stream: ServerHttp2Stream, headers: readonly string[]) => {
      const at = headers.indexOf('x-mesh-delegation')
      if (at >= 0) tokens.set(agent, headers[at + 1] ?? '')
      echo(stream)
    }
  }

  /** Delegates, and answers what came back; `with` is the token that came with the task. */
  async function delegate(
    from: string,
    to: string,
    token?: string,
    more: Record<string, string> = {},
  ): Promise<Answer> {
    const store = stores.get(from)
    assert.ok(store)
    return await call(await mesh.connect(store), {
      ':path': DELEGATE,
      ':authority': `${to}.acme.mesh.internal`,
      ...(token === undefined ? {} : { 'x-mesh-delegation': token }),
      ...more,
    })
  }
  const held = (agent: string) => tokens.get(agent) ?? assert.fail(`${agent} got no token`)
  const claims = (agent: string) => decodeJwt<DelegationClaims>(held(agent))

  it('give the callee of a task a token of its own, and of any other call none', async () => {
    assert.equal((await delegate('a', 'b')).status, 0)
    assert.equal(claims('b').aud, id('b'))
    assert.equal(claims('b').sub, id('a'))
    assert.equal(claims('b').hop, 1)
    tokens.clear()
    const store = stores.get('a')
    assert.ok(store)
    const other = await call(await mesh.connect(store), { ':authority': 'b.acme.mesh.internal' })
    assert.equal(other.status, 0)
    assert.equal(tokens.size, 0)
  })

  it('grow with each hop, under one root, and the audit tells the whole chain', async () => {
    await delegate('a', 'b')
    await delegate('b', 'c', held('b'))
    const delegationId = uuidV7()
    const record = mesh.nextRecord()
    assert.equal(
      (await delegate('c', 'd', held('c'), { 'x-mesh-delegation-id': delegationId })).status,
      0,
    )
    const last = claims('d')
    assert.equal(last.txn, claims('b').txn)
    assert.equal(last.hop, 3)
    for (const [act, agent] of [
      [last.act, 'c'],
      [last.act.act, 'b'],
      [last.act.act?.act, 'a'],
    ] as const) {
      assert.equal(act?.sub, id(agent))
      // with the certificate that it delegated with, and the one above it
      const fingerprint = Buffer.from(stores.get(agent)?.current().fingerprint ?? '', 'hex')
      assert.equal(act.crt?.length, 2)
      assert.equal(act.crt[0]?.split('.')[0], fingerprint.toString('base64url'))
    }
    assert.equal(last.act.act?.act?.act, undefined)
    const audited = await record
    assert.equal(audited.delegation_id, delegationId)
    assert.equal(audited.root_id, last.txn)
    assert.equal(audited.hop, 3)
    assert.deepEqual(audited.chain, [id('a'), id('b'), id('c')])
  })

  it('hold what is asked of the gateway itself: recorded under their root, and open to nobody else', async () => {
    await delegate('a', 'b')
    await delegate('b', 'c', held('b'))
    const exchange = async (agent: string) => {
      const store = stores.get(agent)
      assert.ok(store)
      const record = mesh.nextRecord()
      const headers = {
        ':path': '/clawmesh.mesh.v1.MeshService/ExchangeToken',
        ':authority': GATEWAY,
        'x-mesh-delegation': held('c'),
      }
      const { status, error } = await call(
        await mesh.connect(store),
        headers,
        frame(Buffer.alloc(0)),
      )
      const { root_id: root, hop, chain, reason } = await record
      return { status, code: error?.code ?? null, root, hop, chain, reason }
    }
    const within = { root: claims('c').txn, hop: 2, chain: [id('a'), id('b')] }
    assert.deepEqual(await exchange('c'), { status: 0, code: null, reason: null, ...within })
    const code = 'MESH_TOKEN_AUDIENCE'
    const nowhere = { root: null, hop: null, chain: null }
    assert.deepEqual(await exchange('d'), { status: 16, code, reason: code, ...nowhere })
  })

  it('say of each delegation which one it was made for: in the token, and in the record, also of a loop', async () => {
    const made = async (from: string, to: string, token?: string, delegationId?: string) => {
      const record = mesh.nextRecord()
      const more = delegationId === undefined ? {} : { 'x-mesh-delegation-id': delegationId }
      const { status } = await delegate(from, to, token, more)
      const { caller, parent_id: parent, delegation_id: own, reason } = await record
      return { status, caller, parent, own, reason }
    }
    const fine = { status: 0, reason: null }
    const [first, twice, again] = [uuidV7(), uuidV7(), uuidV7()]
    const root = await made('a', 'b', undefined, first)
    assert.deepEqual(root, { ...fine, caller: id('a'), parent: null, own: first })
    assert.deepEqual(
      [claims('b').delegation_id, claims('b').parent_id, claims('b').hop],
      [first, undefined, 1],
    )
    // the same two agents twice in one tree: only the ids tell the branches apart
    for (const own of [twice, again])
      assert.deepEqual(await made('b', 'c', held('b'), own), {
        ...{ ...fine, caller: id('b'), parent: first, own },
      })
    assert.deepEqual([claims('c').delegation_id, claims('c').parent_id], [again, first])
    assert.deepEqual(await made('c', 'a', held('c'), twice), {
      ...{ status: 9, reason: 'MESH_CHAIN_LOOP_DETECTED' },
      ...{ caller: id('c'), parent: again, own: twice },
    })
  })

  it('give a task that was begun without an id one of the gateway, for what is done for it to name', async () => {
    for (const id of [undefined, 'not-an-id']) {
      const record = mesh.nextRecord()
      await delegate('a', 'b', undefined, id === undefined ? {} : { 'x-mesh-delegation-id': id })
      const { delegation_id: own } = await record
      assert.ok(own !== null && isUuidV7(own), String(own))
      assert.equal(claims('b').delegation_id, own)
    }
  })

  it('cannot loop back to anybody in them', async () => {
    await delegate('a', 'b')
    await delegate('b', 'c', held('b'))
    for (const to of ['a', 'b', 'c']) {
      const answer = await delegate('c', to, held('c'))
      assert.equal(answer.status, 9)
      assert.equal(answer.error?.code, 'MESH_CHAIN_LOOP_DETECTED')
    }
    const self = await delegate('a', 'a')
    assert.equal(self.error?.code, 'MESH_CHAIN_LOOP_DETECTED')
  })

  it('end at maxHops', async () => {
    mesh.setPolicy({ tenant: 'acme', delegation: { allow: anybody, maxHops: 2 } })
    await delegate('a', 'b')
    await delegate('b', 'c', held('b'))
    const answer = await delegate('c', 'd', held('c'))
    assert.equal(answer.error?.code, 'MESH_CHAIN_HOPS_EXCEEDED')
    assert.equal(tokens.has('d'), false)
  })

  it('share one budget over the whole tree', async () => {
    mesh.setPolicy({ tenant: 'acme', delegation: { allow: anybody, maxDelegationsPerRoot: 4 } })
    await delegate('a', 'b')
    const token = held('b')
    const answers: Answer[] = []
    for (const to of ['c', 'd', 'e', 'f']) answers.push(await delegate('b', to, token))
    assert.deepEqual(
      answers.map((answer) => answer.error?.code ?? 'OK'),
      ['OK', 'OK', 'OK', 'MESH_CHAIN_BUDGET_EXCEEDED'],
    )
    // below in the tree it is the same budget; another root has its own
    assert.equal((await delegate('c', 'f', held('c'))).error?.code, 'MESH_CHAIN_BUDGET_EXCEEDED')
    assert.equal((await delegate('a', 'b')).status, 0)
  })

  it('are bound to their callee: a stolen token is nobody else’s authority', async () => {
    await delegate('a', 'b')
    const answer = await delegate('d', 'c', held('b'))
    assert.equal(answer.status, 16)
    assert.equal(answer.error?.code, 'MESH_TOKEN_AUDIENCE')
  })

  it('let an agent that may not originate act within them, and not without', async () => {
    mesh.setPolicy({
      tenant: 'acme',
      delegation: { allow: anybody, agents: { b: { mayOriginate: false } } },
    })
    await delegate('a', 'b')
    const alone = await delegate('b', 'c')
    assert.equal(alone.error?.code, 'MESH_POLICY_MAY_NOT_ORIGINATE')
    assert.equal((await delegate('b', 'c', held('b'))).status, 0)
  })

  it('only narrow what a caller asks to narrow', async () => {
    await delegate('a', 'b', undefined, {
      'x-mesh-narrow-destinations': 'api.example.com, *.docs.example.com',
      'x-mesh-narrow-scope': 'read write',
    })
    assert.deepEqual(claims('b').allowed_destinations, ['api.example.com', '*.docs.example.com'])
    await delegate('b', 'c', held('b'), {
      'x-mesh-narrow-destinations': 'api.example.com,evil.example.com',
      'x-mesh-narrow-scope': 'write admin',
    })
    assert.deepEqual(claims('c').allowed_destinations, ['api.example.com'])
    assert.equal(claims('c').scope, 'write')
  })

  it('are the callee’s secret: nothing of a token is in the audit record', async () => {
    const record = mesh.nextRecord()
    await delegate('a', 'b')
    assert.equal(JSON.stringify(await record).includes(held('b').slice(0, 20)), false)
  })
})
