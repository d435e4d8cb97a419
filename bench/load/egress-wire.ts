/** HTTP/1.1 as a proxy's client writes it, and tunnels, on bare sockets. */
import { connect, type Socket } from 'node:net'

export interface ThroughProxy {
  readonly proxyPort: number
  readonly host: string
  readonly originPort: number
  readonly proxyAuthorization: string | null
}

/** What one exchange on a tunnel moves, each way. */
export const TUNNEL_BYTES = 512 * 1024

/** About what a TLS handshake moves after the ClientHello. */
const HANDSHAKE = { up: 512, down: 4096 }

export function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

export function absoluteFormGet(to: {
  readonly host: string
  readonly port: number
  readonly proxyAuthorization: string | null
}): string {
  const authority = `${to.host}:${to.port}`
  return `GET http://${authority}/bench/item HTTP/1.1\r\nHost: ${authority}\r\n${credential(to)}User-Agent: clawmesh-bench\r\nAccept: */*\r\n\r\n`
}

/** Sends one absolute-form GET and takes its answer. False when that is not a 200. */
export function requestOn(through: ThroughProxy): (socket: Socket) => Promise<boolean> {
  const request = absoluteFormGet({ ...through, port: through.originPort })
  return (socket) => {
    socket.write(request)
    return readUntil(socket, (text) => {
      const headEnd = text.indexOf('\r\n\r\n')
      if (headEnd < 0) return null
      const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))
      if (length === null || !text.startsWith('HTTP/1.1 200')) return false
      return text.length >= headEnd + 4 + Number(length[1]) ? true : null
    })
  }
}

/** @throws Error when the proxy refuses, with its status line. */
export async function openTunnel(through: ThroughProxy, hello: Buffer): Promise<Socket> {
  const authority = `${through.host}:${through.originPort}`
  const socket = await openSocket(through.proxyPort)
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credential(through)}\r\n`)
  let status = ''
  const open = await readUntil(socket, (text) => {
    status = text.slice(0, text.indexOf('\r\n'))
    if (!text.includes('\r\n\r\n')) return null
    return /^HTTP\/1\.[01] 200/.test(text)
  })
  if (!open) throw new Error(`no tunnel: ${status}`)
  socket.write(hello)
  return socket
}

/** TUNNEL_BYTES up, then as many down. */
export const exchangeOnTunnel = exchange({ up: TUNNEL_BYTES, down: TUNNEL_BYTES })

/** As many bytes, in two flights, as if there were TLS on it. Good when the far end of the tunnel has answered. */
export const shakeHands = exchange(HANDSHAKE)

function exchange({ up, down }: { readonly up: number; readonly down: number }) {
  const order = Buffer.alloc(8 + up, 'x')
  order.writeUInt32BE(up, 0)
  order.writeUInt32BE(down, 4)
  return (socket: Socket): Promise<boolean> => {
    let received = 0
    socket.write(order)
    return onData(socket, (chunk) => {
      received += chunk.length
      return received >= down ? true : null
    })
  }
}

function credential({ proxyAuthorization }: Pick<ThroughProxy, 'proxyAuthorization'>): string {
  return proxyAuthorization === null ? '' : `Proxy-Authorization: ${proxyAuthorization}\r\n`
}

function readUntil(socket: Socket, judge: (text: string) => boolean | null): Promise<boolean> {
  let text = ''
  return onData(socket, (chunk) => {
    text += chunk.toString('latin1')
    return judge(text)
  })
}

/** Reads until `judge` knows; false when the socket ends before. */
function onData(socket: Socket, judge: (chunk: Buffer) => boolean | null): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.destroyed) return void setTimeout(resolve, 10, false)
    const finish = (ok: boolean) => {
      socket.off('data', onChunk)
      socket.off('close', onClose)
      if (!ok) socket.destroy()
      resolve(ok)
    }
    const onChunk = (chunk: Buffer) => {
      const verdict = judge(chunk)
      if (verdict !== null) finish(verdict)
    }
    const onClose = () => finish(false)
    socket.on('data', onChunk)
    socket.on('close', onClose)
  })
}
