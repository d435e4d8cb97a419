/**
 * A server of HTTP/2 that is told to send, and is then killed: while its client reads what has come, each piece makes it
 * write an answer to a PING. Arguments: directory of its identity, and the file that says that it ends.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadIdentity, serverTlsOptions } from '@clawmesh/agent-sdk/mesh'
import { spiffe } from '../../../support/test-ca.ts'

const [identity = '', marker = ''] = process.argv.slice(2)
const server = createSecureServer({
  ...serverTlsOptions(await loadIdentity(identity, { spiffe })),
  ...{ ALPNProtocols: ['h2'], maxOutstandingPings: 100 },
})
server.on('session', (session) => session.on('error', () => {}))
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' })
  process.once('message', () => void sendAndDie(stream))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send?.((server.address() as AddressInfo).port)

async function sendAndDie(stream: ServerHttp2Stream): Promise<void> {
  // the head of a message that never gets whole
  stream.write(Buffer.from([0, 0, 0x0f, 0xff, 0xff]))
  for (let piece = 0; piece < 10; piece += 1) {
    stream.session?.ping(() => {})
    await new Promise((sent) => stream.write(Buffer.alloc(10_000), sent))
    // so that each gets a segment of its own
    await sleep(10)
  }
  writeFileSync(marker, '')
  process.kill(process.pid, 'SIGKILL')
}
