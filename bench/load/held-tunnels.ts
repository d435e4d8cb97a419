/** Tunnels that were used once, for as much as a TLS handshake moves, and then lie open. */
import type { Socket } from 'node:net'
import { shakeHands } from './egress-wire.ts'

export interface HeldTunnels {
  /** How many still are. */
  open(): number
  close(): void
}

/** Of all, so many are being opened at a time. */
const OPENING = 100

/** Resolves when the far end of each has answered. @throws Error when one was refused or broke before */
export async function holdTunnels(
  open: () => Promise<Socket>,
  count: number,
): Promise<HeldTunnels> {
  const sockets: Socket[] = []
  let begun = 0
  const openInTurn = async () => {
    while (begun < count) {
      begun++
      const socket = await open()
      if (!(await shakeHands(socket))) throw new Error('a tunnel ended at once')
      sockets.push(socket)
    }
  }
  await Promise.all(Array.from({ length: OPENING }, openInTurn))
  return {
    open: () => sockets.filter((socket) => !socket.destroyed).length,
    close: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
