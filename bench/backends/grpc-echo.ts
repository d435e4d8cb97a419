/**
 * The peer: answers each gRPC message with itself, over HTTP/2 frames that it does not parse, mTLS with a gateway
 * as the only client it accepts. Ends when the caller does; a call of `Hold` stays open.
 * usage: grpc-echo.ts <identity dir> [address]
 */
import http2 from 'node:http2'
import { TLSSocket } from 'node:tls'
import { say } from '../process/commands.ts'
import { readTlsFiles } from '../world/tls-files.ts'

const [dir = '', host = '127.0.0.1'] = process.argv.slice(2)
const server = http2.createSecureServer({
  ...readTlsFiles(dir),
  requestCert: true,
  rejectUnauthorized: true,
  settings: { maxConcurrentStreams: 1000, initialWindowSize: 1 << 20 },
})

server.on('session', (session) => {
  session.on('error', () => {}) // a client that breaks off; the load generator counts what failed
  const { socket } = session
  const names =
    socket instanceof TLSSocket ? (socket.getPeerCertificate().subjectaltname ?? '') : ''
  if (!/\bURI:spiffe:\/\/[^/]+\/gateway\//.test(names)) session.destroy()
})
server.on('stream', (stream, headers) => {
  const stays = headers[':path']?.endsWith('/Hold') === true
  stream.on('error', () => {}) // as above
  stream.respond([':status', '200', 'content-type', 'application/grpc'], { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.on('data', (chunk: Buffer) => {
    if (stream.write(chunk)) return
    stream.pause()
    stream.once('drain', () => stream.resume())
  })
  if (!stays) stream.on('end', () => stream.end())
})
server.listen(0, host, () => {
  const address = server.address()
  if (address !== null && typeof address !== 'string') say({ port: address.port })
})
