/** A token that came down a chain of delegation is worth no more than each agent that handed it on: judged by the real list of revocations. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@clawmesh/agent-sdk'
import { beginList } from '../../../../mesh-gateway/src/revocation/list-file.ts'
import {
  openRevocations,
  type RevocationsHandle,
} from '../../../../mesh-gateway/src/revocation/revocations.ts'
import { createMetrics } from '../../../../mesh-gateway/src/telemetry/create-metrics.ts'
import { rawClient, refusalOf, sendRaw } from '../fixture.ts'
import { basic, connectTo, get, setUp } from '../setup.ts'

const spiffe = (agent: string, tenant = 'acme') =>
  `spiffe://mesh.internal/tenant/${tenant}/agent/${agent}`
const TREE = '01890a5d-ac96-774b-bcce-b302099a8057'

describe('a token of a chain', () => {
  const setup = setUp()
  let dir: string
  let revocations: RevocationsHandle

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-ancestors-'))
    const list = join(dir, 'revoked.jsonl')
    await beginList(list, Date.now())
    const metrics = createMetrics()
    revocations = await openRevocations({
      crl: null,
      list,
      stale: 'keep',
      identity: { current: () => assert.fail('no list of a CA is judged') },
      log: silentLog,
      metrics,
    })
    setup.closing.push(async () => {
      await revocations.close()
      metrics.close()
      await rm(dir, { recursive: true })
    })
  })
  afterEach(setup.close)

  /** bot-01 acts for researcher, which acts for planner. */
  async function open() {
    const upstream = await setup.upstream((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
      socket.on('end', () => socket.end())
    })
    const { port } = upstream
    const egress = await setup.egress(port, { port: { revocations } })
    const token = (...actors: readonly [string, ...string[]]) => {
      const [first, second] = actors
      return egress.token({
        destinations: [`api.test:${port}`],
        chain: {
          act: { sub: first, ...(second === undefined ? {} : { act: { sub: second } }) },
          txn: TREE,
          exp: Date.now() / 1000 + 600,
          allowedDestinations: null,
        },
      })
    }
    const deep = basic(await token(spiffe('researcher'), spiffe('planner')))
    const shallow = basic(await token(spiffe('researcher')))
    const ask = (auth: string) => sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`))
    const tunnel = async (auth: string) => {
      const client = await rawClient(egress.number)
      client.send(connectTo(port, auth))
      await client.until((text) => text.includes('\r\n\r\n'))
      client.send(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\n\r\n`)
      await client.until((text) => text.endsWith('ok'))
      return client
    }
    return { egress, deep, shallow, ask, tunnel, port }
  }
  const revoke = (kind: 'agent' | 'txn', value: string) =>
    revocations.change(() => ({
      add: { kind, value, reason: null, since: new Date().toISOString(), until: null, by: null },
    }))

  for (const [who, id] of [
    ['the agent that the chain began with', spiffe('planner')],
    ['the agent that delegated to it', spiffe('researcher')],
  ] as const)
    it(`is refused, and what it has open ends, when ${who} is revoked`, async () => {
      const { egress, deep, ask, tunnel } = await open()
      assert.match(await ask(deep), /^HTTP\/1\.1 200 /)
      const client = await tunnel(deep)
      await revoke('agent', id)
      await client.rest()
      client.socket.destroy()
      assert.equal((await egress.record(1)).reason, 'MESH_CHAIN_REVOKED')
      const answer = await ask(deep)
      assert.match(answer, /^HTTP\/1\.1 403 /)
      assert.deepEqual(
        [refusalOf(answer).code, refusalOf(answer).gate],
        ['MESH_CHAIN_REVOKED', 'credential'],
      )
    })

  it('is refused, and what it has open ends, when the tree is revoked', async () => {
    const { egress, deep, ask, tunnel } = await open()
    const client = await tunnel(deep)
    await revoke('txn', TREE)
    await client.rest()
    client.socket.destroy()
    assert.equal((await egress.record(0)).reason, 'MESH_CHAIN_REVOKED')
    assert.equal(refusalOf(await ask(deep)).code, 'MESH_CHAIN_REVOKED')
  })

  it('goes on when an agent that is not in its chain is revoked, one of that name in another tenant among them', async () => {
    const { deep, shallow, ask, tunnel, port } = await open()
    const client = await tunnel(deep)
    await revoke('agent', spiffe('researcher', 'globex'))
    await revoke('agent', spiffe('planner', 'globex'))
    await revoke('agent', spiffe('stranger'))
    assert.match(await ask(deep), /^HTTP\/1\.1 200 /)
    client.send(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\n\r\n`)
    await client.until((text) => text.split('ok').length === 3)
    await revoke('agent', spiffe('planner'))
    await client.rest()
    client.socket.destroy()
    assert.match(await ask(shallow), /^HTTP\/1\.1 200 /)
  })
})
