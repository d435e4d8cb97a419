/**
 * When two names of X.509 are the same (RFC 5280, section 7.1, as OpenSSL has it): the type of a string, the case of ASCII
 * letters and blanks that are doubled or outside do not count.
 */

const SEQUENCE = 0x30
const SET = 0x31
/** UTF8, Printable, T61, IA5 and Visible; BMP and Universal are of two and four bytes a character. */
const ONE_BYTE: ReadonlySet<number> = new Set([0x13, 0x14, 0x16, 0x1a])
const UTF8 = 0x0c
const BMP = 0x1e

interface Value {
  readonly tag: number
  readonly content: Uint8Array
}

/**
 * A text that is the same for names that are the same. Of an encoding that cannot be read it is the bytes themselves.
 * @param name DER
 */
export function canonicalName(name: Uint8Array): string {
  const bytes = Buffer.from(name)
  const [sequence, ...rest] = valuesOf(bytes) ?? []
  const sets = sequence?.tag === SEQUENCE && rest.length === 0 ? valuesOf(sequence.content) : null
  const parts = sets?.map(canonicalSet)
  if (parts === undefined || parts.includes(null)) return `#${bytes.toString('hex')}`
  return parts.join('/')
}

function canonicalSet({ tag, content }: Value): string | null {
  const attributes = tag === SET ? valuesOf(content) : null
  const parts = attributes?.map(({ content: pair }) => {
    const [type, value, ...more] = valuesOf(pair) ?? []
    if (type === undefined || value === undefined || more.length > 0) return null
    return `${Buffer.from(type.content).toString('hex')}=${canonicalValue(value)}`
  })
  return parts === undefined || parts.includes(null) ? null : parts.join('+')
}

function canonicalValue({ tag, content }: Value): string {
  const text = textOf(tag, Buffer.from(content))
  if (text === null) return `#${tag}:${Buffer.from(content).toString('hex')}`
  const folded = text
    .replace(/[\t-\r ]+/g, ' ')
    .replace(/^ | $/g, '')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return JSON.stringify(folded)
}

function textOf(tag: number, content: Buffer): string | null {
  if (tag === UTF8) return content.toString('utf8')
  if (ONE_BYTE.has(tag)) return content.toString('latin1')
  if (tag === BMP && content.length % 2 === 0)
    return Buffer.from(content).swap16().toString('utf16le')
  return null
}

/** The values one after another, or null when they are not definite, whole and of one byte of tag. */
function valuesOf(bytes: Uint8Array): Value[] | null {
  const values: Value[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0
    const first = bytes[at + 1] ?? 0x80
    const more = first < 0x80 ? 0 : first & 0x7f
    if ((tag & 0x1f) === 0x1f || first === 0x80 || more > 2) return null
    let length = more === 0 ? first : 0
    for (const byte of bytes.subarray(at + 2, at + 2 + more)) length = length * 256 + byte
    const start = at + 2 + more
    if (start + length > bytes.length) return null
    values.push({ tag, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return values
}
