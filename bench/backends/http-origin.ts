/**
 * What lies behind the egress port: a small HTTP/1.1 answer per request; or, when a connection begins like TLS, the
 * far end of a tunnel, which takes and gives as many bytes as asked. Bare sockets, so that it costs little.
 */
import { createServer, type Socket } from 'node:net'
import { say } from '../process/commands.ts'

const BODY = 'x'.repeat(256)
const ANSWER = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`
const TLS_HANDSHAKE = 0x16
const RECORD_HEADER = 5
const CHUNK = Buffer.alloc(65_536, 'x')

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {}) // a proxy that breaks off; the load generator counts what failed
  socket.once('data', (first: Buffer) => {
    const handle = first[0] === TLS_HANDSHAKE ? serveTunnel(socket) : serveHttp(socket)
    handle(first)
    socket.on('data', handle)
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address !== 'string') say({ port: address.port })
})

/** Requests here are GETs, so each ends with an empty line. */
function serveHttp(socket: Socket): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    const requests = (rest + chunk.toString('latin1')).split('\r\n\r\n')
    rest = requests.pop() ?? ''
    if (requests.length > 0) socket.write(ANSWER.repeat(requests.length))
  }
}

/** After the ClientHello: [bytes up, bytes down] as two 32-bit numbers, then the bytes up; answered by the bytes down. */
function serveTunnel(socket: Socket): (chunk: Buffer) => void {
  let head = Buffer.alloc(0)
  let hello = true
  let up = 0
  let down = 0
  return (chunk) => {
    let bytes = chunk
    while (bytes.length > 0) {
      if (up > 0) {
        const taken = Math.min(up, bytes.length)
        up -= taken
        bytes = bytes.subarray(taken)
        if (up === 0) give(socket, down)
        continue
      }
      head = Buffer.concat([head, bytes])
      bytes = Buffer.alloc(0)
      const need = hello ? helloLength(head) : 8
      if (head.length < need) continue
      bytes = head.subarray(need)
      if (!hello) {
        up = head.readUInt32BE(0)
        down = head.readUInt32BE(4)
      }
      hello = false
      head = Buffer.alloc(0)
    }
  }
}

function helloLength(head: Buffer): number {
  return head.length < RECORD_HEADER ? RECORD_HEADER : RECORD_HEADER + head.readUInt16BE(3)
}

function give(socket: Socket, count: number): void {
  if (count === 0 || socket.destroyed) return
  const size = Math.min(count, CHUNK.length)
  const next = () => give(socket, count - size)
  if (socket.write(CHUNK.subarray(0, size))) next()
  else socket.once('drain', next)
}
