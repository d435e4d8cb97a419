/** Twenty rotations on caller, gateway and callee, under calls of all four kinds. */
import assert from 'node:assert/strict'
import type { Agent } from '@clawmesh/agent-sdk'
import { channelCredentials } from '@clawmesh/agent-sdk/calls'
import { checkIsGateway, openIdentity } from '@clawmesh/agent-sdk/mesh'
import { createSpiffeTemplate } from '@clawmesh/proto'
import {
  Client,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const ROTATIONS = 20

const same = (value: Buffer) => value
const kind = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.v1.Kinds/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
})
const kinds = {
  Unary: kind('Unary', false, false),
  Server: kind('Server', false, true),
  Client: kind('Client', true, false),
  Both: kind('Both', true, true),
} satisfies ServiceDefinition

describe('no call fails while every certificate rotates', () => {
  let mesh: Mesh

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'caller', to: 'callee' }] } } },
    })
  })
  after(() => mesh.close())

  it('twenty times on all three parties, under calls of all four kinds', async () => {
    await mesh.serve('acme', 'callee', {
      skills: { echo: (task) => task.text() },
      additionalServices: [{ service: kinds, implementation: kindsImplementation() }],
    })
    const store = await openIdentity({
      dir: await mesh.identity('acme', 'caller'),
      spiffe: createSpiffeTemplate({ trustDomain: mesh.trustDomain }),
      pollMs: 200,
    })
    const caller: Agent = await mesh.agent('acme', 'caller')
    const load = startLoad(mesh, store, caller)
    try {
      for (let round = 0; round < ROTATIONS; round += 1) {
        const { generation } = store.current()
        const before = load.completed()
        await Promise.all([
          mesh.renew('gateway'),
          mesh.renew({ tenant: 'acme', agent: 'caller' }),
          mesh.renew({ tenant: 'acme', agent: 'callee' }),
        ])
        await waitFor(
          'the renewed certificate to be in use',
          () => store.current().generation > generation,
        )
        // every kind has been called anew since, on connections old and new
        await waitFor('calls of every kind since', () => load.completed() >= before + 8)
        load.reconnect()
      }
    } finally {
      await load.end()
      await store.close()
    }
    assert.deepEqual(load.failures, [])
    assert.ok(load.openStreamIntact(), 'the stream that was open throughout lost a message')
    const metrics = await (await fetch(`http://${mesh.gateway.admin}/metrics`)).text()
    const generation = /clawmesh_\w*generation\{[^}]*identity[^}]*\} (\d+)/.exec(metrics)?.[1]
    assert.ok(Number(generation) >= ROTATIONS / 2, `the gateway reloaded ${generation} times`)
  }).timeout(240_000)
})

function kindsImplementation(): UntypedServiceImplementation {
  return {
    Unary(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
      done(null, call.request)
    },
    Server(call: ServerWritableStream<Buffer, Buffer>) {
      for (let i = 0; i < 3; i += 1) call.write(call.request)
      call.end()
    },
    Client(call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
      void Array.fromAsync<Buffer>(call).then((parts) => done(null, Buffer.concat(parts)))
    },
    Both(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on('data', (part: Buffer) => call.write(part))
      call.on('end', () => call.end())
    },
  }
}

function startLoad(mesh: Mesh, store: Parameters<typeof channelCredentials>[0], caller: Agent) {
  const spiffe = createSpiffeTemplate({ trustDomain: mesh.trustDomain })
  const host = mesh.nameOf('acme', 'callee')
  const open = () =>
    new Client(
      mesh.gateway.delegation,
      channelCredentials(store, { spiffe, expect: checkIsGateway }),
      {
        'grpc.default_authority': host,
        'grpc.enable_http_proxy': 0,
        'grpc.enable_retries': 0,
        'grpc.use_local_subchannel_pool': 1,
      },
    )
  const failures: string[] = []
  let client = open()
  let completed = 0
  let ending = false
  const text = Buffer.from('payload')
  const noDeadline = {}

  const calls: Record<string, () => Promise<void>> = {
    unary: () =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(kinds.Unary.path, same, same, text, (error, value) => {
          if (error) reject(error)
          else resolve(assert.deepEqual(value, text))
        })
      }),
    server: async () => {
      const stream = client.makeServerStreamRequest(kinds.Server.path, same, same, text, noDeadline)
      assert.equal((await Array.fromAsync(stream)).length, 3)
    },
    client: () =>
      new Promise((resolve, reject) => {
        const stream = client.makeClientStreamRequest(
          kinds.Client.path,
          same,
          same,
          (error, value) => {
            if (error) reject(error)
            else resolve(assert.deepEqual(value, Buffer.concat([text, text])))
          },
        )
        stream.write(text)
        stream.end(text)
      }),
    both: async () => {
      const stream = client.makeBidiStreamRequest(kinds.Both.path, same, same, noDeadline)
      stream.write(text)
      stream.write(text)
      stream.end()
      assert.equal(Buffer.concat(await Array.fromAsync(stream)).length, 2 * text.length)
    },
    delegation: async () => {
      const result = await caller.delegate('callee', { skill: 'echo', input: 'hello' }).result()
      assert.equal(result.text(), 'hello')
    },
  }
  const loops = Object.entries(calls).map(async ([name, once]) => {
    while (!ending) {
      try {
        await once()
        completed += 1
      } catch (error) {
        failures.push(`${name}: ${String(error)}`)
      }
    }
  })

  // one stream stays open from beginning to end
  const first = client
  const longStream = first.makeBidiStreamRequest(kinds.Both.path, same, same, noDeadline)
  let sent = 0
  let received = 0
  longStream.on('data', () => {
    received += 1
    if (ending) return
    sent += 1
    longStream.write(text)
  })
  const longEnded = new Promise<void>((resolve) => {
    longStream.on('end', resolve)
    longStream.on('error', (error) => {
      failures.push(`open stream: ${String(error)}`)
      resolve()
    })
  })
  sent += 1
  longStream.write(text)

  const old: Client[] = []
  return {
    failures,
    completed: () => completed,
    openStreamIntact: () => sent === received && sent > 10,
    reconnect() {
      old.push(client)
      client = open()
    },
    async end() {
      ending = true
      await Promise.all(loops)
      longStream.end()
      await longEnded
      for (const one of [...old, client]) one.close()
    },
  }
}
