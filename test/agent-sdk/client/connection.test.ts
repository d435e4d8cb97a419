/** The calls of an agent on its connection to the gateway: cancelled by their signals, with deadlines that can be sent. */
import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway } from '@clawmesh/agent-sdk/mesh'
import { uuidV7 } from '@clawmesh/proto'
import { createConnection } from '../../../agent-sdk/src/client/connection.ts'
import { methods } from '../../../agent-sdk/src/client/methods.ts'
import { waitFor } from '../../support/wait-for.ts'
import { type StandInMesh, startStandInMesh } from '../stand-in/mesh.ts'

const HOUR_MS = 3_600_000

describe('the connection of an agent', () => {
  let mesh: StandInMesh
  let silent: Server
  const sockets: Socket[] = []
  before(async () => {
    mesh = await startStandInMesh()
    await mesh.serve({ skills: { echo: (task) => task.text() } })
    silent = createServer((socket) => void sockets.push(socket.on('error', () => {}).resume()))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    mesh.gateway.peers.set('silent.acme.mesh.internal', (silent.address() as AddressInfo).port)
  })
  after(async () => {
    await mesh.close()
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('cancels a call with its signal, while it waits and before it has begun', async () => {
    const { ca, gateway } = mesh
    const store = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'caller' }))
    const connection = createConnection({
      ...{ target: gateway.address, store },
      credentials: () => channelCredentials(store, { spiffe: ca.spiffe, expect: checkIsGateway }),
      contact: { beginEndless() {}, failed() {}, close() {} },
    })
    const controller = new AbortController()
    const { signal } = controller
    const call = () =>
      connection.unary(
        methods.get,
        { delegation_id: uuidV7() },
        { authority: 'silent.acme.mesh.internal', deadline: Date.now() + 30_000, signal },
      )
    const canceled = { code: 'MESH_CALL_CANCELED' }
    const waiting = assert.rejects(call(), canceled)
    await waitFor('the call', () =>
      gateway.calls.some(({ authority }) => authority.startsWith('silent.')),
    )
    controller.abort()
    await waiting
    await assert.rejects(call(), canceled)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    connection.close()
    assert.throws(call, { ...canceled, message: 'the agent was closed' })
  })

  it('is a new one for a renewed certificate: the old one is closed as soon as it has no call', async () => {
    const { ca } = mesh
    const store = await ca.open(await ca.agentDir({ tenant: 'acme', agent: 'renewed' }))
    let renewed: () => void = () => assert.fail('nobody listens')
    let following = true
    const { port } = silent.address() as AddressInfo
    const connection = createConnection({
      target: `127.0.0.1:${port}`,
      store: {
        ...store,
        onChange(listener) {
          renewed = () => listener(store.current())
          return () => {
            following = false
          }
        },
      },
      credentials: () => channelCredentials(store, { spiffe: ca.spiffe, expect: checkIsGateway }),
      contact: { beginEndless() {}, failed() {}, close() {} },
    })
    const call = (signal: AbortSignal) => {
      const request = { delegation_id: uuidV7() }
      const choices = { authority: 'b', deadline: Date.now() + 30_000, signal }
      return assert.rejects(connection.unary(methods.get, request, choices), {
        code: 'MESH_CALL_CANCELED',
      })
    }
    const before = sockets.length
    const first = new AbortController()
    const waiting = call(first.signal)
    const old = await waitFor('the first connection', () => sockets[before])
    renewed()
    const second = new AbortController()
    const later = call(second.signal)
    const next = await waitFor('the second connection', () => sockets[before + 1])
    assert.equal(old.closed, false, 'it has a call')
    first.abort()
    await waiting
    await waitFor('the end of the first connection', () => old.closed)
    assert.equal(next.closed, false)
    second.abort()
    await later
    renewed()
    await waitFor('the end of the second connection', () => next.closed)
    connection.close()
    assert.equal(following, false)
  })

  it('sends a deadline that is near, and keeps by its own clock one that is more than a day away', async () => {
    const sent = async (deadlineMs: number) => {
      const before = mesh.gateway.calls.length
      await mesh.a.delegate('b', { skill: 'echo', input: 'x', deadlineMs }).result()
      return mesh.gateway.calls[before]?.headers['grpc-timeout']
    }
    assert.match(String(await sent(HOUR_MS)), /^\d+[A-Za-z]$/)
    assert.equal(await sent(25 * HOUR_MS), undefined)
  })

  it('is used no more once the agent is closed', async () => {
    const agent = await mesh.agent('closed')
    await agent.close()
    await assert.rejects(agent.whoAmI(), { code: 'MESH_CALL_CANCELED' })
  })
})
