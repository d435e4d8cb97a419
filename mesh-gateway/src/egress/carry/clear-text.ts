/**
 * Judges what a client sends in a tunnel without TLS. Bytes that a server could read as HTTP/1 must be well-formed
 * HTTP/1 for the host of CONNECT, in every request: the head of a request passes only after it has been judged. Bytes
 * pass unchanged.
 */
import type { ErrorCode } from '@clawmesh/proto'
import { type BodyDecoder, createBodyDecoder } from '../http1/body-decoder.ts'
import { findHeadEnd, listOf, MalformedMessage, REQUEST_LIMITS } from '../http1/head.ts'
import { parseRequestHead, type RequestHead } from '../http1/request-head.ts'
import { hostHeaderMatches, parseAuthority, parseConnectTarget, type Target } from '../request.ts'

const EMPTY = Buffer.alloc(0)
const CR = 13
const LF = 10
const MAX_LEAD_BYTES = 1024
/**
 * A line that a server may read as HTTP, of any version and however malformed. Python takes some control characters for
 * blanks.
 */
const HTTP_LINE = /HTTP\/|^[A-Za-z]+[\s\p{Cc}]+(?:\/|https?:)/iu
/** The beginning of a line that may become such a line. */
const HTTP_BEGINNING = /^\S+\s+(?:\/|\*|https?:)/i
/**
 * The same before a NUL, which some servers take for a character of the path. git:// has a NUL too, after a word with
 * digits.
 */
const HTTP_BEFORE_NUL = /^[A-Za-z]+[\s\p{Cc}]/u
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2', 'latin1')
const ABSOLUTE = /^(https?):\/\/([^/?#]*)/i

/**
 * `line`: it is not known yet whether this is HTTP. `frame`: after a request for a WebSocket. `opaque`: nothing more is
 * judged.
 */
type State = 'line' | 'head' | 'body' | 'frame' | 'opaque'

export class ClearText {
  readonly #target: Target
  /** False: everything but HTTP/1 is refused. */
  readonly #othersPass: boolean
  #state: State = 'line'
  /** Blanks before the first line. */
  #lead = ''
  #line = ''
  /** Bytes that are not judged yet; the first `#passed` of them have been passed on. */
  #held: Buffer = EMPTY
  #passed = 0
  #body: BodyDecoder | null = null

  constructor(target: Target, othersPass: boolean) {
    this.#target = target
    this.#othersPass = othersPass
  }

  /** True when nothing more is judged. */
  get opaque(): boolean {
    return this.#state === 'opaque'
  }

  /** True when held bytes wait for more bytes of the client. */
  get holding(): boolean {
    return this.#held.length > this.#passed
  }

  /**
   * @param pass called with the bytes that may pass, in order: views of the chunk, or of held bytes
   * @returns why the tunnel must end; null when it goes on
   */
  push(chunk: Buffer, pass: (bytes: Buffer) => void): ErrorCode | null {
    try {
      let rest = chunk
      while (rest.length > 0) {
        const next = this.#take(rest, pass)
        if (typeof next === 'string') return next
        rest = next
      }
      return null
    } catch (error) {
      if (error instanceof MalformedMessage) return 'MESH_EGRESS_MALFORMED'
      throw error
    }
  }

  /** Returns the bytes that are still to be judged. @throws MalformedMessage */
  #take(bytes: Buffer, pass: (bytes: Buffer) => void): Buffer | ErrorCode {
    switch (this.#state) {
      case 'line':
        return this.#takeLine(bytes, pass)
      case 'head':
        return this.#takeHead(bytes, pass)
      case 'body':
        return this.#takeBody(bytes, pass)
      case 'frame':
        return this.#takeFrame(bytes)
      case 'opaque':
        pass(this.#unheld(bytes))
        return EMPTY
    }
  }

  /**
   * Reads the first line. No server acts before its end, so it passes as it arrives where other protocols are allowed.
   */
  #takeLine(bytes: Buffer, pass: (bytes: Buffer) => void): Buffer | ErrorCode {
    let at = 0
    if (this.#line === '') {
      while (at < bytes.length && isBlank(bytes[at])) at += 1
      this.#lead += bytes.toString('latin1', 0, at)
      if (this.#lead.length > MAX_LEAD_BYTES) throw new MalformedMessage('it begins with blanks')
      if (at < bytes.length && !isPrintable(bytes[at])) return this.#notHttp(bytes)
    }
    const from = at
    while (at < bytes.length && bytes[at] !== CR && bytes[at] !== LF && bytes[at] !== 0) at += 1
    this.#line += bytes.toString('latin1', from, at)
    const whole = at < bytes.length
    const long = this.#line.length > REQUEST_LIMITS.maxBytes
    if (!whole && !long) {
      if (this.#othersPass) pass(bytes)
      else this.#held = Buffer.concat([this.#held, bytes])
      return EMPTY
    }
    const cut = whole && bytes[at] === 0
    const http = cut ? HTTP_BEFORE_NUL : whole ? HTTP_LINE : HTTP_BEGINNING
    if (!http.test(this.#line)) return this.#notHttp(bytes)
    if (long || cut || !/^(?:\r\n)*$/.test(this.#lead))
      throw new MalformedMessage('the request line is malformed')
    pass(Buffer.concat([this.#held, bytes.subarray(0, at)]))
    this.#held = Buffer.from(this.#line, 'latin1')
    this.#passed = this.#held.length
    this.#state = 'head'
    return bytes.subarray(at)
  }

  #notHttp(bytes: Buffer): Buffer | ErrorCode {
    if (!this.#othersPass) return 'MESH_EGRESS_CLEARTEXT'
    this.#state = 'opaque'
    return bytes
  }

  #takeHead(bytes: Buffer, pass: (bytes: Buffer) => void): Buffer | ErrorCode {
    let looked = this.#held.length
    const copied = looked > 0
    // a chunk may hold a thousand heads: it is not copied for each of them
    let all = this.#unheld(bytes)
    while (this.#passed === 0 && all[0] === CR && all[1] === LF) {
      // RFC 9112, section 2.2: one empty line before a request is accepted
      pass(all.subarray(0, 2))
      all = all.subarray(2)
      looked = 0
    }
    if (all.length === 0 || (all.length === 1 && all[0] === CR)) return this.#hold(all, copied)
    if (!isPrintable(all[0])) throw new MalformedMessage('the request line is malformed')
    if (all.subarray(0, HTTP2_PREFACE.length).equals(HTTP2_PREFACE)) return 'MESH_EGRESS_CLEARTEXT'
    const end = findHeadEnd(all, REQUEST_LIMITS)
    if (end === -1) {
      // refused at once: the client would wait for an end that never counts
      if (holdsBareBreak(all, looked)) throw new MalformedMessage('a line ends without CR LF')
      return this.#hold(all, copied)
    }
    const head = parseRequestHead(all.subarray(0, end))
    const fault = this.#judge(head)
    if (fault !== null) return fault
    pass(all.subarray(this.#passed, end))
    this.#held = EMPTY
    this.#passed = 0
    this.#body = head.body === 0 ? null : createBodyDecoder(head.body, () => {})
    this.#state = this.#body !== null ? 'body' : head.webSocket ? 'frame' : 'head'
    return all.subarray(end)
  }

  /** @param copied false: these are bytes of a chunk, which is used again for the next one */
  #hold(bytes: Buffer, copied = false): Buffer {
    this.#held = copied ? bytes : Buffer.from(bytes)
    return EMPTY
  }

  #judge(head: RequestHead): ErrorCode | null {
    if (head.host !== null && !hostHeaderMatches(head.host, this.#target))
      return 'MESH_EGRESS_HOST_MISMATCH'
    if (!namesHost(head, this.#target)) return 'MESH_EGRESS_HOST_MISMATCH'
    return listOf(head.fields, 'upgrade').includes('h2c') ? 'MESH_EGRESS_CLEARTEXT' : null
  }

  #takeBody(bytes: Buffer, pass: (bytes: Buffer) => void): Buffer {
    const body = this.#body
    const taken = body?.push(bytes) ?? 0
    if (taken > 0) pass(bytes.subarray(0, taken))
    if (body === null || body.done) {
      this.#body = null
      this.#state = 'head'
    }
    return bytes.subarray(taken)
  }

  /**
   * A client's WebSocket frame is masked (RFC 6455, section 5.2), a request is not. Unmasked bytes mean that the server
   * has refused the upgrade.
   */
  #takeFrame(bytes: Buffer): Buffer {
    const all = this.#unheld(bytes)
    if (all.length < 2) return this.#hold(all)
    const [first = 0, second = 0] = all
    const opcode = first & 0x0f
    const isFrame = (first & 0x30) === 0 && (opcode & 0x07) <= 2 && (second & 0x80) !== 0
    this.#state = isFrame ? 'opaque' : 'head'
    return all
  }

  #unheld(bytes: Buffer): Buffer {
    if (this.#held.length === 0) return bytes
    const all = Buffer.concat([this.#held, bytes])
    this.#held = EMPTY
    return all
  }
}

/** A request target in origin form names no host. */
function namesHost({ method, target: text }: RequestHead, target: Target): boolean {
  if (method === 'CONNECT') {
    const named = parseConnectTarget(text)
    return typeof named !== 'string' && named.host === target.host && named.port === target.port
  }
  if (text.startsWith('/') || text === '*') return true
  const [, scheme, authority] = ABSOLUTE.exec(text) ?? []
  const named = parseAuthority(authority ?? '')
  if (typeof named === 'string' || scheme === undefined) return false
  const port = named.port ?? (scheme.toLowerCase() === 'http' ? 80 : 443)
  return named.host === target.host && port === target.port
}

/** Characters that servers skip, or take for the space between two words; the last ones in Python only. */
function isBlank(byte: number | undefined): boolean {
  if (byte === undefined) return false
  if (byte === 32 || (byte >= 9 && byte <= 13)) return true
  return (byte >= 0x1c && byte <= 0x1f) || byte === 0x85 || byte === 0xa0
}

function isPrintable(byte: number | undefined): boolean {
  return byte !== undefined && byte > 0x20 && byte < 0x7f
}

/**
 * A CR at the very end may still be followed by LF. @param looked the number of bytes already checked: a head may
 * arrive byte by byte
 */
function holdsBareBreak(bytes: Buffer, looked: number): boolean {
  const from = bytes[looked - 1] === CR ? looked - 1 : looked
  for (let at = from; at < bytes.length; at += 1) {
    if (bytes[at] === LF) return true
    if (bytes[at] !== CR || at + 1 === bytes.length) continue
    if (bytes[at + 1] !== LF) return true
    at += 1
  }
  return false
}
