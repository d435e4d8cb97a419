/** A TLS client's first bytes. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import tls from 'node:tls'
import { listenOnFreePort } from '../../support/http-origin.ts'

/** A real ClientHello, as Node's OpenSSL writes it. */
export async function captureHello(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = createServer()
  const port = await listenOnFreePort(server)
  const client = tls.connect({ host: '127.0.0.1', port, ...options })
  client.on('error', () => {})
  const [socket]: Socket[] = await once(server, 'connection')
  assert.ok(socket)
  const [hello]: Buffer[] = await once(socket, 'data')
  assert.ok(hello)
  client.destroy()
  socket.destroy()
  server.close()
  await once(server, 'close')
  return hello
}

/** With a server_name extension for each list of names. */
export function withServerNames(hello: Buffer, lists: readonly (readonly string[])[]): Buffer {
  let longer = hello
  for (const names of lists) {
    const entries = names.map((name) =>
      Buffer.concat([Buffer.from([0]), lengthOf(name.length), Buffer.from(name, 'latin1')]),
    )
    const list = Buffer.concat(entries)
    longer = withExtension(longer, 0, Buffer.concat([lengthOf(list.length), list]))
  }
  return longer
}

function lengthOf(length: number): Buffer {
  return Buffer.from([length >> 8, length & 255])
}

/** With one extension more at its end. */
export function withExtension(hello: Buffer, type: number, data = Buffer.alloc(1)): Buffer {
  const added = Buffer.concat([lengthOf(type), lengthOf(data.length), data])
  const longer = Buffer.concat([hello, added])
  const grow = (at: number, size: 2 | 3) =>
    longer.writeUIntBE(longer.readUIntBE(at, size) + added.length, at, size)
  grow(3, 2)
  grow(6, 3)
  const session = 43 + 1 + (hello[43] ?? 0)
  const suites = session + 2 + hello.readUInt16BE(session)
  grow(suites + 1 + (hello[suites] ?? 0), 2)
  return longer
}
