/** A DNS server on loopback, UDP and TCP on the same port. Bad packets are dropped. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { decode, encode, type Packet, streamEncode } from 'dns-packet'
import { answer, type ZoneRecords } from './zone.ts'

export interface DnsServerOptions {
  /** Default: a free one. */
  readonly port?: number
  readonly records: ZoneRecords
  /** Called with the name and type of each query, before it is answered. */
  readonly onQuery?: (name: string, type: string) => void
}

export interface DnsServer {
  /** `127.0.0.1:port`. */
  readonly address: string
  readonly port: number
  /** Replaces all records at once. */
  setRecords(records: ZoneRecords): void
  close(): Promise<void>
}

const MAX_TCP_CLIENTS = 64
const IDLE_MS = 5_000

export async function createDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  let { records } = options
  const respond = async (bytes: Buffer): Promise<Packet | null> => {
    const query = parse(bytes)
    if (query?.type !== 'query') return null
    const [question] = query.questions ?? []
    if (question !== undefined) options.onQuery?.(question.name, question.type)
    return answer(query, records, askSystem)
  }

  const { tcp, udp, port } = await bindBoth(options.port ?? 0)
  tcp.on('connection', (socket) => serveTcp(socket, respond))
  udp.on('message', (bytes, from) => {
    respond(bytes)
      .then((response) => {
        if (response !== null) udp.send(encode(response), from.port, from.address)
      })
      // the asker has gone or the server is closing: it asks again
      .catch(() => {})
  })
  const sockets = new Set<Socket>()
  tcp.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return {
    address: `127.0.0.1:${port}`,
    port,
    setRecords(next) {
      records = next
    },
    async close() {
      udp.close()
      tcp.close()
      for (const socket of sockets) socket.destroy()
      await once(tcp, 'close')
    },
  }
}

/** The same port for both; where any will do and somebody else has it for UDP, another one. */
async function bindBoth(wanted: number): Promise<{ tcp: Server; udp: UdpSocket; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const tcp = createServer()
    tcp.maxConnections = MAX_TCP_CLIENTS
    tcp.listen(wanted, '127.0.0.1')
    await once(tcp, 'listening')
    const bound = tcp.address()
    const port = bound !== null && typeof bound === 'object' ? bound.port : wanted
    const udp = createSocket('udp4')
    try {
      udp.bind(port, '127.0.0.1')
      await once(udp, 'listening')
      return { tcp, udp, port }
    } catch (error) {
      udp.close()
      tcp.close()
      if (wanted !== 0 || attempt === 5) throw error
    }
  }
}

function serveTcp(socket: Socket, respond: (bytes: Buffer) => Promise<Packet | null>): void {
  let pending: Buffer = Buffer.alloc(0)
  socket.setTimeout(IDLE_MS, () => socket.destroy())
  // a client that resets its connection is no concern of anybody
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      respond(pending.subarray(2, end))
        .then((response) => {
          if (response === null) socket.destroy()
          else socket.write(streamEncode(response))
        })
        .catch(() => socket.destroy())
      pending = pending.subarray(end)
    }
  })
}

function parse(bytes: Buffer): Packet | null {
  try {
    return decode(bytes)
  } catch {
    // not a DNS packet
    return null
  }
}

async function askSystem(name: string): Promise<string[]> {
  const found = await lookup(name, { all: true })
  return found.map(({ address }) => address)
}
