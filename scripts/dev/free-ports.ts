/**
 * Ports for servers that must be told a number: they cannot say which one port 0 gave them, or come back at the same one.
 * None that the kernel gives away by itself, for port 0 and for connections that go out: between being found free and
 * being listened on, such a port may go to anybody (ip(7), ip_local_port_range).
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'

/** First and last, both included. */
export type PortRange = readonly [first: number, last: number]

const GIVEN_AWAY_FILE = '/proc/sys/net/ipv4/ip_local_port_range'
// where there is no such file: what Linux gives away, and all that other systems do (RFC 6335, section 6)
const GIVEN_AWAY_ELSEWHERE: PortRange = [32_768, 65_535]
// below are the ports that services of a machine are known by
const LOWEST = 10_000
const HIGHEST = 65_535
const TRIES_PER_PORT = 200

/**
 * So many different ports of 127.0.0.1 where nobody listens, neither TCP nor UDP.
 * @param among default: the larger of the two ranges below and above those that the kernel gives away
 * @throws Error when they cannot be found there
 */
export async function freePorts(count: number, among?: PortRange): Promise<number[]> {
  const [first, last] = among ?? besides(await givenAway())
  const held: HeldPort[] = []
  try {
    for (let tries = count * TRIES_PER_PORT; held.length < count; tries -= 1) {
      if (tries === 0) throw new Error(`no ${count} free ports from ${first} to ${last}`)
      const taken = await hold(randomInt(first, last + 1))
      if (taken !== null) held.push(taken)
    }
    return held.map(({ port }) => port)
  } finally {
    await Promise.all(held.map((each) => each.release()))
  }
}

/** One of them. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

/** The larger of the two ranges beside that one. */
export function besides([low, high]: PortRange): PortRange {
  const below: PortRange = [LOWEST, low - 1]
  const above: PortRange = [Math.max(high + 1, LOWEST), HIGHEST]
  const [larger] = [below, above].toSorted((a, b) => width(b) - width(a))
  // a machine that gives nearly all of them away: then those are what there is
  return larger !== undefined && width(larger) >= 1_000 ? larger : [LOWEST, HIGHEST]
}

function width([first, last]: PortRange): number {
  return last - first + 1
}

async function givenAway(): Promise<PortRange> {
  const text = await readFile(GIVEN_AWAY_FILE, 'utf8').catch(() => '')
  const [low = 0, high = 0] = text.trim().split(/\s+/).map(Number)
  return low > 0 && high >= low ? [low, high] : GIVEN_AWAY_ELSEWHERE
}

interface HeldPort {
  readonly port: number
  release(): Promise<void>
}

/** Null when somebody has it, or may not be had. */
async function hold(port: number): Promise<HeldPort | null> {
  const tcp = createServer()
  const udp = createSocket('udp4')
  const release = async () => {
    await Promise.all([closed(tcp), closed(udp)])
  }
  try {
    tcp.listen(port, '127.0.0.1')
    await once(tcp, 'listening')
    udp.bind({ port, address: '127.0.0.1', exclusive: true })
    await once(udp, 'listening')
    return { port, release }
  } catch {
    await release()
    return null
  }
}

function closed(socket: { close(done: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(() => resolve())
    } catch {
      // it never came to be open
      resolve()
    }
  })
}
