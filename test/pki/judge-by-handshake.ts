/** What OpenSSL, as Node has it, says of a chain that a TLS server presents as that of planner. */
import { once } from 'node:events'
import tls from 'node:tls'
import type { HandMade } from './hand-made.ts'

/**
 * Empty when it is accepted, else the words of OpenSSL.
 * @param crls PEM, any number of lists in each text. Given: every certificate of the chain but the root is looked up in them,
 *   and a list that is missing is a fault, as with `openssl verify -crl_check_all`
 */
export async function judgeByHandshake(
  { certificateChain, privateKey, roots }: HandMade,
  crls: readonly string[] = [],
): Promise<string> {
  const server = tls.createServer({ cert: certificateChain, key: privateKey.reveal() })
  server.on('secureConnection', (socket) => socket.on('error', () => {}))
  // a client that refuses must not end the test process
  server.on('tlsClientError', () => {})
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const crl = crls.flatMap(
    (text) => text.match(/-----BEGIN X509 CRL[\s\S]*?END X509 CRL-----/g) ?? [],
  )
  const socket = tls.connect({
    host: '127.0.0.1',
    port: address !== null && typeof address === 'object' ? address.port : 0,
    ca: roots,
    servername: 'planner.acme.mesh.internal',
    ...(crl.length === 0 ? {} : { crl }),
  })
  try {
    await once(socket, 'secureConnect')
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    socket.destroy()
    server.close()
    await once(server, 'close')
  }
}
