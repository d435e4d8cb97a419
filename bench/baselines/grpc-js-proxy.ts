/**
 * What one would write first: a @grpc/grpc-js server that hands each call to one @grpc/grpc-js client.
 * Payloads stay buffers, metadata, deadline, cancellation and status are passed on; no policy, no audit.
 * usage: grpc-js-proxy.ts <identity dir> <backend port> <server name of the backend>
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import * as grpc from '@grpc/grpc-js'
import { say } from '../process/commands.ts'

const [dir = '', backendPort = '', serverName = ''] = process.argv.slice(2)
const file = (name: string) => readFileSync(join(dir, name))
const raw = (bytes: Buffer) => bytes
const method = (path: string, streaming: boolean) => ({
  path,
  requestStream: streaming,
  responseStream: streaming,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
})

const upstream = new grpc.Client(
  `127.0.0.1:${backendPort}`,
  grpc.credentials.createSsl(file('ca.crt'), file('tls.key'), file('tls.crt')),
  { 'grpc.ssl_target_name_override': serverName },
)

const unary: grpc.handleUnaryCall<Buffer, Buffer> = (call, callback) => {
  const onward = upstream.makeUnaryRequest(
    '/bench.Echo/Call',
    raw,
    raw,
    call.request,
    call.metadata,
    { deadline: call.getDeadline() },
    (error, reply) => callback(error, reply),
  )
  onward.on('metadata', (metadata) => call.sendMetadata(metadata))
  call.on('cancelled', () => onward.cancel())
}

const bidi: grpc.handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  const onward = upstream.makeBidiStreamRequest('/bench.Echo/Stream', raw, raw, call.metadata, {
    deadline: call.getDeadline(),
  })
  onward.on('metadata', (metadata) => call.sendMetadata(metadata))
  onward.on('error', (error) => call.emit('error', error))
  call.on('cancelled', () => onward.cancel())
  // Duplex they are; their types write it in a way of their own
  call.pipe(onward as unknown as Duplex)
  onward.pipe(call as unknown as Duplex)
}

const server = new grpc.Server({
  'grpc.max_concurrent_streams': 1000,
})
server.addService(
  { Call: method('/bench.Echo/Call', false), Stream: method('/bench.Echo/Stream', true) },
  { Call: unary, Stream: bidi },
)
server.bindAsync(
  '127.0.0.1:0',
  grpc.ServerCredentials.createSsl(
    file('ca.crt'),
    [{ private_key: file('tls.key'), cert_chain: file('tls.crt') }],
    true,
  ),
  (error, port) => {
    if (error !== null) throw error
    say({ port })
  },
)
