/** A DNS server that does as a test tells it, with each name: a real socket, and what it was asked. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode, type Packet } from 'dns-packet'

/** Null: it never answers. An empty list: there is no such name. */
export type DnsAnswer = {
  readonly ips: readonly string[]
  readonly ttl: number
  /** Of a question for AAAA. Default none. */
  readonly ips6?: readonly string[]
  /** Of a question for SRV. Default none. */
  readonly services?: readonly {
    readonly target: string
    readonly port: number
    readonly priority?: number
  }[]
  /** Code of the response (RFC 1035, section 4.1.1), e.g. 2 for SERVFAIL. Default: 3, no such name, when there is nothing, else 0. */
  readonly rcode?: number
} | null

export interface DnsDouble {
  /** `ip:port` */
  readonly server: string
  /** Names of A questions, in order. */
  readonly asked: string[]
  close(): Promise<void>
}

/** @param port of 127.0.0.1. Default any that is free. */
export async function startDnsDouble(
  answer: (name: string, type: string) => DnsAnswer,
  port = 0,
): Promise<DnsDouble> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (message, from) => {
    const query = decode(message)
    const [question] = query.questions ?? []
    if (question === undefined) return
    const { name, type } = question
    if (type === 'A') asked.push(name)
    const told = answer(name, type)
    if (told === null) return
    const { ips, ttl, ips6 = [], services = [], rcode } = told
    const nothing = ips.length + ips6.length + services.length === 0
    const packet: Packet = {
      type: 'response',
      id: query.id ?? 0,
      // 3: there is no such name
      flags: 0x8000 | 0x0100 | (rcode ?? (nothing ? 3 : 0)),
      questions: [question],
      answers:
        type === 'A'
          ? ips.map((data) => ({ type, name, ttl, data }))
          : type === 'AAAA'
            ? ips6.map((data) => ({ type, name, ttl, data }))
            : type === 'SRV'
              ? services.map((data) => ({ type, name, ttl, data }))
              : [],
    }
    socket.send(encode(packet), from.port, from.address)
  })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  return {
    server: `127.0.0.1:${socket.address().port}`,
    asked,
    async close() {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}
