/**
 * Receives connections from proxies: reads the PROXY header of each before any other byte, and passes the connection on
 * with the address of its client. Whatever is wrong with a header closes the connection, and nothing in it is believed.
 * An address that is not listed is never read from; a listed one has to send a header.
 */
import type { Socket } from 'node:net'
import { cidr } from '../cidr.ts'
import { type ClientAddress, clientAddressOf } from '../client-address.ts'
import { parseIp } from '../ip.ts'
import { type RangeTable, rangeTable } from '../range-table.ts'
import { readHeader } from './read-header.ts'
import type { ProxyFault } from './reading.ts'

export interface ProxyReceiverOptions {
  /** Time for a whole header, in milliseconds. */
  readonly headerMs: number
  /** Connections that may wait for their header; over it the oldest is closed. Default 4,096. */
  readonly maxWaiting?: number
  /** Counts and logs a refusal. `client` has the address of the proxy, or of the client that is no listed proxy. */
  readonly refused: (
    fault: ProxyFault,
    by: { readonly client: ClientAddress; readonly detail: string },
  ) => void
}

/** What follows the header is in the read buffer of the socket. */
export type ServeClient = (socket: Socket, client: ClientAddress) => void

export interface ProxyReceiver {
  /** @param serve called once with the client that the header names, or not at all */
  receive(socket: Socket, serve: ServeClient): void
  /** Closes the connections whose header is not whole yet. */
  closeWaiting(): void
}

const MAX_WAITING = 4_096
const NO_BYTES = Buffer.alloc(0)

/**
 * Null when no ranges are listed: then no connection has a header.
 * @param from the addresses of proxies, as CIDR ranges
 * @throws TypeError for a range that is none
 */
export function proxiesOf(
  from: readonly string[],
  options: ProxyReceiverOptions,
): ProxyReceiver | null {
  return from.length === 0 ? null : new Receiver(from, options)
}

/** A listener to accepted sockets. Without proxies it serves each as it is, and costs nothing more. */
export function receivedBy(
  proxies: ProxyReceiver | null,
  serve: ServeClient,
): (socket: Socket) => void {
  if (proxies === null) return (socket) => serve(socket, clientAddressOf(socket))
  return (socket) => proxies.receive(socket, serve)
}

class Receiver implements ProxyReceiver {
  readonly #options: ProxyReceiverOptions
  readonly #listed: RangeTable
  readonly #maxWaiting: number
  /** The oldest first. */
  readonly #waiting = new Set<Waiting>()

  constructor(from: readonly string[], options: ProxyReceiverOptions) {
    this.#options = options
    this.#listed = rangeTable(from.map(cidr))
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING
  }

  receive(socket: Socket, serve: ServeClient): void {
    const { refused, headerMs } = this.#options
    const client = clientAddressOf(socket)
    // it may reset the connection at any time, also later
    socket.on('error', () => {})
    if (!this.#isListed(client)) {
      // without an address it has closed already
      if (client.ip !== null) refused('proxy-unlisted', { client, detail: 'it is no listed proxy' })
      socket.resetAndDestroy()
      return
    }
    const [oldest] = this.#waiting
    if (this.#waiting.size >= this.#maxWaiting)
      oldest?.refuse('proxy-timeout', 'too many others wait for their headers')
    const waiting = new Waiting(socket, headerMs, {
      serve: (named) => serve(socket, named),
      refused: (fault, detail) => refused(fault, { client, detail }),
      ended: () => this.#waiting.delete(waiting),
    })
    this.#waiting.add(waiting)
  }

  closeWaiting(): void {
    for (const one of [...this.#waiting]) one.destroy()
  }

  #isListed({ ip }: ClientAddress): boolean {
    // the zone of a link-local address
    const address = parseIp(ip?.split('%', 1)[0] ?? '')
    return address !== null && this.#listed.find(address) !== null
  }
}

interface Outcome {
  serve(client: ClientAddress): void
  refused(fault: ProxyFault, detail: string): void
  /** Called once, before the others. */
  ended(): void
}

/** One connection from its acceptance to the end of its header. */
class Waiting {
  readonly #socket: Socket
  readonly #outcome: Outcome
  readonly #timer: NodeJS.Timeout
  #held: Buffer = NO_BYTES

  constructor(socket: Socket, headerMs: number, outcome: Outcome) {
    this.#socket = socket
    this.#outcome = outcome
    this.#timer = setTimeout(
      () => this.refuse('proxy-timeout', 'no whole header came in time'),
      headerMs,
    )
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
  }

  refuse(fault: ProxyFault, detail: string): void {
    this.#release()
    this.#outcome.refused(fault, detail)
    this.#socket.resetAndDestroy()
  }

  destroy(): void {
    this.#release()
    this.#socket.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const reading = readHeader(this.#held)
    if (reading.kind === 'more') return
    if (reading.kind === 'fault') {
      this.refuse(reading.fault, reading.detail)
      return
    }
    this.#release()
    this.#socket.pause()
    const rest = this.#held.subarray(reading.length)
    if (rest.length > 0) this.#socket.unshift(rest)
    this.#outcome.serve(reading.client)
  }

  /** A proxy that opens a connection and closes it only looks whether the port is open: that is no fault. */
  readonly #onEnd = (): void => {
    if (this.#held.length === 0) this.destroy()
    else this.refuse('proxy-malformed', 'its header is cut short')
  }

  #release(): void {
    clearTimeout(this.#timer)
    this.#socket.off('data', this.#onData)
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('close', this.#onEnd)
    this.#outcome.ended()
  }
}
