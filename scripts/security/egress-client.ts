/** Bytes for an egress port, and what comes back for them. */
import { once } from 'node:events'
import { connect } from 'node:net'

/** An answer that is not complete by then does not matter. */
const ENOUGH_MS = 1_000

/** Sends, and resolves with what came until the gateway closed or had time enough. */
export async function sendToEgress(egress: string, bytes: string | Buffer): Promise<string> {
  const [host = '', port = ''] = egress.split(':')
  const socket = connect(Number(port), host)
  const pieces: Buffer[] = []
  socket.on('data', (piece: Buffer) => pieces.push(piece))
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  socket.write(bytes, 'latin1')
  const enough = setTimeout(() => socket.destroy(), ENOUGH_MS)
  await closed
  clearTimeout(enough)
  return Buffer.concat(pieces).toString('latin1')
}

export function requestThrough(destination: string, token: string, path: string): string {
  const auth = `Proxy-Authorization: Bearer ${token}\r\nConnection: close\r\n`
  return `GET http://${destination}${path} HTTP/1.1\r\nHost: ${destination}\r\n${auth}\r\n`
}

/** Of a refusal. */
export function codeOfAnswer(answer: string): string | null {
  return /"code":"(MESH_[A-Z_]+)"/.exec(answer)?.[1] ?? null
}
