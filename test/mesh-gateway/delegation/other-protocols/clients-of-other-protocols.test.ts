/** Clients that speak Connect, gRPC-Web, JSON-RPC or plain HTTP show the gateway's error, and the way to go, as their libraries do. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { AgentCard, Role } from '@a2a-js/sdk'
import { JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client'
import {
  create,
  createFileRegistry,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
} from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { checkIsGateway, clientTlsOptions, type IdentityStore } from '@clawmesh/agent-sdk/mesh'
import { ConnectError, type Transport } from '@connectrpc/connect'
import { createAsyncIterable } from '@connectrpc/connect/protocol'
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node'
import { Agent, fetch as undiciFetch } from 'undici'
import { needProgram } from '../../../support/need-program.ts'
import { echo, type Fixture, GATEWAY, makeFixture } from '../fixture.ts'

const run = promisify(execFile)

describe('a client of the delegation port that does not speak gRPC', () => {
  let fixture: Fixture
  let planner: IdentityStore
  let url: string
  before(async () => {
    fixture = await makeFixture()
    const dir = await fixture.ca.agentDir({ tenant: 'acme', agent: 'planner' })
    planner = await fixture.ca.open(dir)
    const { host, port } = fixture.port.address
    url = `https://${host}:${port}`
  })
  after(() => fixture.close())

  const tlsOptions = (alpn: string) =>
    clientTlsOptions(planner.current(), fixture.ca.spiffe, checkIsGateway, {
      servername: GATEWAY,
      alpn: [alpn],
    })

  /** What the user of a Connect library sees of a failed call. */
  async function shown(transport: Transport, name: 'unary' | 'stream' = 'unary'): Promise<string> {
    const method = echoService().method[name]
    assert.ok(method)
    try {
      if (isUnary(method)) await transport.unary(method, undefined, undefined, undefined, {})
      else if (isServerStream(method)) {
        const asked = createAsyncIterable([create(method.input)])
        const answer = await transport.stream(method, undefined, undefined, undefined, asked)
        for await (const _ of answer.message);
      }
    } catch (error) {
      assert.ok(error instanceof ConnectError)
      return error.message
    }
    return 'no error'
  }

  for (const httpVersion of ['2', '1.1'] as const) {
    const alpn = httpVersion === '2' ? 'h2' : 'http/1.1'
    const options = () => ({ baseUrl: url, httpVersion, nodeOptions: tlsOptions(alpn) })

    it(`is told by Connect over HTTP/${httpVersion} to use gRPC, in calls and in streams`, async () => {
      const transport = createConnectTransport(options())
      for (const name of ['unary', 'stream'] as const) {
        const text = await shown(transport, name)
        assert.match(text, /^\[invalid_argument\] MESH_ROUTE_NOT_GRPC: .*createGrpcTransport/)
      }
      const get = createConnectTransport({ ...options(), useHttpGet: true, useBinaryFormat: false })
      assert.match(await shown(get), /^\[invalid_argument\] MESH_ROUTE_NOT_GRPC: /)
    })

    it(`is told by gRPC-Web over HTTP/${httpVersion} to use gRPC`, async () => {
      const transport = createGrpcWebTransport(options())
      for (const name of ['unary', 'stream'] as const) {
        const text = await shown(transport, name)
        assert.match(text, /^\[invalid_argument\] MESH_ROUTE_NOT_GRPC: .*createGrpcTransport/)
      }
    })
  }

  it('gets through once it does what it was told', async () => {
    await fixture.peer('echo', echo)
    const transport = createGrpcTransport({
      ...{ baseUrl: url, nodeOptions: tlsOptions('h2') },
      interceptors: [
        (next) => (request) => {
          request.header.set('x-mesh-target', 'echo.acme.mesh.internal')
          return next(request)
        },
      ],
    })
    assert.equal(await shown(transport), 'no error')
  })

  it('is told by A2A over JSON-RPC and REST to use its gRPC binding', async () => {
    const agent = new Agent({
      connect({ hostname: host, port }, callback) {
        const socket = tls.connect({ ...tlsOptions('http/1.1'), host, port: Number(port) })
        socket.once('error', (error) => callback(error, null))
        socket.once('secureConnect', () => callback(null, socket))
      },
    })
    const fetchImpl: typeof fetch = async (input, init) =>
      Reflect.apply(undiciFetch, undefined, [input, { ...init, dispatcher: agent }])
    try {
      for (const Factory of [JsonRpcTransportFactory, RestTransportFactory]) {
        const transport = await new Factory({ fetchImpl }).create(url, CARD)
        await assert.rejects(transport.sendMessage(MESSAGE), (error) => {
          assert.match(String(error), /MESH_ROUTE_NOT_GRPC: .*protocolBinding GRPC/)
          return true
        })
      }
    } finally {
      await agent.close()
    }
  })

  it('is told by curl over either version of HTTP', async function () {
    needProgram(this, 'curl')
    const at = (file: string) => join(fixture.ca.dir, 'acme-planner', file)
    const { port } = fixture.port.address
    const curl = async (version: string) => {
      const files = ['--cacert', at('ca.crt'), '--cert', at('tls.crt'), '--key', at('tls.key')]
      const to = ['--connect-to', `::127.0.0.1:${port}`, `https://${GATEWAY}:${port}/`]
      const { stdout } = await run('curl', ['-s', '-w', '\n%{http_code}', version, ...files, ...to])
      const [body = '', status] = stdout.trim().split('\n').filter(Boolean)
      return [status, JSON.parse(body)] as const
    }
    for (const [version, expected] of [
      ['--http2', '415'],
      ['--http1.1', '505'],
    ] as const) {
      const [status, body] = await curl(version)
      assert.equal(status, expected)
      assert.equal(body.code, 'MESH_ROUTE_NOT_GRPC')
      assert.match(body.hint, /application\/grpc over HTTP\/2/)
    }
  })
})

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === 'unary'
const isServerStream = (method: DescMethod): method is DescMethodServerStreaming =>
  method.methodKind === 'server_streaming'

/** `test.v1.Echo` with a call and a stream. */
function echoService() {
  const message = '.test.v1.Empty'
  const method = (name: string, serverStreaming: boolean) => ({
    ...{ name, inputType: message, outputType: message, serverStreaming },
    options: { idempotencyLevel: 1 },
  })
  const file = create(FileDescriptorProtoSchema, {
    ...{ name: 'echo.proto', package: 'test.v1', syntax: 'proto3' },
    messageType: [{ name: 'Empty' }],
    service: [{ name: 'Echo', method: [method('Unary', false), method('Stream', true)] }],
  })
  const service = createFileRegistry(file, () => undefined).getService('test.v1.Echo')
  assert.ok(service)
  return service
}

const MESSAGE = {
  ...{ tenant: '', configuration: undefined, metadata: undefined },
  message: {
    ...{ messageId: 'm', contextId: '', taskId: '', role: Role.ROLE_USER, parts: [] },
    ...{ metadata: undefined, extensions: [], referenceTaskIds: [] },
  },
}
const CARD = AgentCard.fromJSON({ name: 'agent' })
