/**
 * Reads the server name (SNI) from the first message of a TLS client (RFC 8446, section 4.1.2; RFC 6066, section 3),
 * however it is split into packets and records. Bounded: a message longer than any client sends is malformed.
 */
export type HelloVerdict =
  /** Undecided: more bytes are needed. */
  | { readonly kind: 'more' }
  | { readonly kind: 'not-tls' }
  /** It began like TLS and is not. */
  | { readonly kind: 'malformed' }
  | {
      readonly kind: 'hello'
      readonly serverName: string | null
      /** True with an Encrypted Client Hello or a GREASE one (RFC 9849): the two cannot be told apart. */
      readonly ech: boolean
    }

/** Handshake bytes; with post-quantum key shares a ClientHello is about 2 KiB. */
const MAX_HELLO_BYTES = 16_384
/** Small records are allowed; endless overhead is not. */
const MAX_RECORDS = 64
const ECH_EXTENSION = 0xfe0d
const MORE = Object.freeze({ kind: 'more' })
const NOT_TLS = Object.freeze({ kind: 'not-tls' })
const MALFORMED = Object.freeze({ kind: 'malformed' })

/** @param bytes all bytes that the client has sent so far */
export function readClientHello(bytes: Buffer): HelloVerdict {
  if (bytes.length === 0) return MORE
  if (bytes[0] !== 0x16 || (bytes.length > 1 && bytes[1] !== 3)) return NOT_TLS
  const fragments: Buffer[] = []
  let gathered = 0
  let at = 0
  for (let records = 0; ; records += 1) {
    if (records > MAX_RECORDS || gathered > MAX_HELLO_BYTES) return MALFORMED
    if (gathered >= 4) {
      const handshake = Buffer.concat(fragments)
      if (handshake[0] !== 1) return MALFORMED
      const length = handshake.readUIntBE(1, 3)
      if (length > MAX_HELLO_BYTES) return MALFORMED
      if (gathered >= 4 + length) return parseHello(handshake.subarray(4, 4 + length))
    }
    if (bytes.length < at + 5) return MORE
    const length = bytes.readUInt16BE(at + 3)
    if (bytes[at] !== 0x16 || bytes[at + 1] !== 3 || length === 0 || length > 16_384)
      return MALFORMED
    const fragment = bytes.subarray(at + 5, at + 5 + length)
    fragments.push(fragment)
    gathered += fragment.length
    at += 5 + length
    if (fragment.length < length) {
      // an incomplete record may already show that this is no ClientHello
      return fragments.length === 1 && fragment.length > 0 && fragment[0] !== 1 ? MALFORMED : MORE
    }
  }
}

function parseHello(body: Buffer): HelloVerdict {
  try {
    const cursor = new Cursor(body)
    cursor.skip(2 + 32)
    cursor.vector(1)
    cursor.vector(2)
    cursor.vector(1)
    if (cursor.atEnd) return { kind: 'hello', serverName: null, ech: false }
    const extensions = new Cursor(cursor.vector(2))
    if (!cursor.atEnd) return MALFORMED
    let serverName: string | null = null
    let ech = false
    while (!extensions.atEnd) {
      const type = extensions.uint(2)
      const data = extensions.vector(2)
      if (type === ECH_EXTENSION) ech = true
      if (type !== 0) continue
      if (serverName !== null) return MALFORMED
      serverName = parseServerName(data)
    }
    return { kind: 'hello', serverName, ech }
  } catch (error) {
    if (error instanceof RangeError) return MALFORMED
    throw error
  }
}

/** @throws RangeError unless it contains exactly one host name */
function parseServerName(data: Buffer): string {
  const outer = new Cursor(data)
  const list = new Cursor(outer.vector(2))
  const type = list.uint(1)
  const name = list.vector(2)
  if (type !== 0 || !list.atEnd || !outer.atEnd || name.length === 0)
    throw new RangeError('not one host name')
  return name.toString('latin1')
}

class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  skip(length: number): void {
    if (this.#at + length > this.#bytes.length) throw new RangeError('cut short')
    this.#at += length
  }

  uint(size: 1 | 2): number {
    const from = this.#at
    this.skip(size)
    return this.#bytes.readUIntBE(from, size)
  }

  /** Reads a length, then that many bytes. */
  vector(lengthSize: 1 | 2): Buffer {
    const length = this.uint(lengthSize)
    const from = this.#at
    this.skip(length)
    return this.#bytes.subarray(from, from + length)
  }
}
