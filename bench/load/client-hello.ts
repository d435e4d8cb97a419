/** The first bytes of a real TLS client, since a gateway that checks the server name reads them. */
import { Duplex } from 'node:stream'
import { connect } from 'node:tls'

export function captureClientHello(serverName: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, callback) {
        resolve(chunk)
        callback()
      },
    })
    const socket = connect({ socket: wire, servername: serverName, minVersion: 'TLSv1.3' })
    socket.on('error', () => {}) // nobody ever answers
  })
}
