/** A server that speaks enough of RESP for a link: it answers, keeps silent or fails as it is told, and notes what it is asked. */
import { createServer, type Socket } from 'node:net'
import { listenOnFreePort } from '../../../support/http-origin.ts'

export interface Asked {
  /** The first one is 1. */
  readonly connection: number
  /** E.g. `GET key`. */
  readonly command: string
}

export interface RedisDouble {
  readonly url: string
  /** All but what a client says of itself. */
  readonly asked: readonly Asked[]
  connections(): number
  /** Ends all connections. */
  drop(): void
  close(): void
}

/** What a client says of itself before it is ready, and what it is answered. */
const GREETINGS: ReadonlyMap<string, string> = new Map([
  ['hello', '+OK'],
  ['client', '+OK'],
  ['info', '$9\r\nloading:0'],
])

/** @param answer RESP without the last line end, e.g. `+OK` or `-OOM no`; null for none. A greeting is answered when it is not null. */
export async function startRedisDouble(
  answer: (asked: Asked) => string | null,
): Promise<RedisDouble> {
  const asked: Asked[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    const connection = connections
    sockets.add(socket.on('error', () => {}).once('close', () => sockets.delete(socket)))
    let held = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      held += text
      for (let read = readCommand(held); read !== null; read = readCommand(held)) {
        held = held.slice(read.length)
        const [name = ''] = read.words
        const one = { connection, command: read.words.join(' ') }
        const greeting = GREETINGS.get(name)
        if (greeting === undefined) asked.push(one)
        const said = answer(one)
        if (said !== null) socket.write(`${greeting ?? said}\r\n`)
      }
    })
  })
  const port = await listenOnFreePort(server)
  const drop = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    asked,
    connections: () => connections,
    drop,
    close() {
      server.close()
      drop()
    },
  }
}

/** The command at the start of what has come; null until all of it has. */
function readCommand(text: string): { words: string[]; length: number } | null {
  const [head, count] = /^\*(\d+)\r\n/.exec(text) ?? []
  if (head === undefined) return null
  const words: string[] = []
  let at = head.length
  for (let left = Number(count); left > 0; left -= 1) {
    const [size, bytes] = /^\$(\d+)\r\n/.exec(text.slice(at)) ?? []
    if (size === undefined) return null
    const end = at + size.length + Number(bytes)
    if (text.length < end + 2) return null
    words.push(text.slice(at + size.length, end))
    at = end + 2
  }
  return { words, length: at }
}
