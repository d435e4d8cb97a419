/** A TCP relay that can fall silent: its connections stay, and carry nothing, as behind a network that drops every packet. */
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'

export interface PausableRelay {
  readonly port: number
  /** From now on nothing passes, on connections to come as well; or nothing of what the server sends. */
  pause(what?: 'all' | 'answers'): void
  resume(): void
  /** Ends every connection; new ones are taken. */
  cut(): void
  close(): Promise<void>
}

export async function startPausableRelay(to: {
  readonly host: string
  readonly port: number
}): Promise<PausableRelay> {
  const clients = new Set<net.Socket>()
  const servers = new Set<net.Socket>()
  const held = new Set<Set<net.Socket>>()

  function carry(from: net.Socket, other: net.Socket, side: Set<net.Socket>): void {
    side.add(from)
    from.on('error', () => {})
    from.once('close', () => {
      side.delete(from)
      other.destroy()
    })
    from.on('data', (chunk: Buffer) => {
      if (!other.write(chunk)) from.pause()
    })
    other.on('drain', () => {
      if (!held.has(side)) from.resume()
    })
    from.once('end', () => other.end())
    if (held.has(side)) from.pause()
  }

  const cut = () => {
    for (const socket of [...clients, ...servers]) socket.destroy()
  }

  const server = net.createServer((near) => {
    const far = net.connect(to.port, to.host)
    carry(near, far, clients)
    carry(far, near, servers)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    pause(what = 'all') {
      for (const side of what === 'all' ? [clients, servers] : [servers]) {
        held.add(side)
        for (const socket of side) socket.pause()
      }
    },
    resume() {
      held.clear()
      for (const socket of [...clients, ...servers]) socket.resume()
    },
    cut,
    async close() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
