/**
 * Finds the TTL of SRV records, which Node's resolver does not report: sends one question of its own, and reads only
 * the TTLs of the answer. Best effort: a late, lost or malformed answer gives null, and the records themselves come
 * from Node's resolver.
 */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'

const TYPE_SRV = 33
const CLASS_IN = 1
const HEADER_BYTES = 12
const RECURSION_DESIRED = 0x0100
const RESPONSE = 0x8000
const MAX_RECORDS = 256
const LARGEST_TTL = 2 ** 31

/**
 * @param server `ip:port`, `[ip]:port`
 * @returns the smallest TTL in milliseconds; null when it is unknown within `timeoutMs`
 */
export function srvTtlMs(name: string, server: string, timeoutMs: number): Promise<number | null> {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(server) ?? []
  const ip = bracketed ?? plain
  const id = randomInt(0x10000)
  const question = writeQuestion(id, name)
  if (ip === undefined || question === null) return Promise.resolve(null)
  const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4')
  return new Promise((resolve) => {
    const end = (ttlMs: number | null) => {
      clearTimeout(timer)
      socket.removeAllListeners('message')
      socket.close(() => resolve(ttlMs))
    }
    const timer = setTimeout(() => end(null), timeoutMs)
    socket.once('error', () => end(null))
    socket.on('message', (message) => {
      if (message.length >= HEADER_BYTES && message.readUInt16BE(0) === id) end(readTtlMs(message))
    })
    // a connected socket receives from this server only
    socket.connect(Number(port), ip, () => socket.send(question))
  })
}

/** RFC 1035, section 4.1. Null when the name is not valid for a question. */
function writeQuestion(id: number, name: string): Buffer | null {
  const labels = name.replace(/\.$/, '').split('.')
  if (name.length > 253 || labels.some((label) => label === '' || label.length > 63)) return null
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(RECURSION_DESIRED, 2)
  header.writeUInt16BE(1, 4)
  const parts = labels.map((label) =>
    Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'),
  )
  return Buffer.concat([header, ...parts, Buffer.from([0, 0, TYPE_SRV, 0, CLASS_IN])])
}

/** The smallest TTL of SRV records in the answer; null when there are none, or when it is malformed. */
export function readTtlMs(message: Buffer): number | null {
  if (message.length < HEADER_BYTES || (message.readUInt16BE(2) & RESPONSE) === 0) return null
  const questions = message.readUInt16BE(4)
  const records = Math.min(MAX_RECORDS, message.readUInt16BE(6))
  let at: number | null = HEADER_BYTES
  for (let left = Math.min(MAX_RECORDS, questions); left > 0 && at !== null; left -= 1) {
    at = afterName(message, at)
    if (at !== null) at += 4
  }
  let smallest: number | null = null
  for (let left = records; left > 0 && at !== null; left -= 1) {
    at = afterName(message, at)
    if (at === null || at + 10 > message.length) break
    if (message.readUInt16BE(at) === TYPE_SRV) {
      const ttl = message.readUInt32BE(at + 4)
      // a TTL with the highest bit set counts as 0 (RFC 2181, section 8)
      const ms = ttl >= LARGEST_TTL ? 0 : ttl * 1_000
      smallest = smallest === null ? ms : Math.min(smallest, ms)
    }
    at += 10 + message.readUInt16BE(at + 8)
  }
  return smallest
}

/** The end of the name that begins at `at`; null beyond the message. A pointer ends it and is not followed. */
function afterName(message: Buffer, at: number): number | null {
  let next = at
  while (next < message.length) {
    const length = message[next] ?? 0
    if (length === 0) return next + 1
    if (length >= 0xc0) return next + 2
    next += 1 + length
  }
  return null
}
