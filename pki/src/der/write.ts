/**
 * Writes DER. node-forge encodes; values are Buffers with one encoded value each, so that keys and signatures from
 * node:crypto are included byte for byte and never re-encoded.
 */
import forge from 'node-forge'

const UNIVERSAL: number = forge.asn1.Class.UNIVERSAL
const CONTEXT: number = forge.asn1.Class.CONTEXT_SPECIFIC
const CONSTRUCTED = 0x20

export function sequence(...items: readonly Buffer[]): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.SEQUENCE | CONSTRUCTED, Buffer.concat(items))
}

export function setOf(...items: readonly Buffer[]): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.SET | CONSTRUCTED, Buffer.concat(items))
}

/** [tag] EXPLICIT, or [tag] IMPLICIT of a constructed type when `content` is its items. */
export function tagged(tag: number, ...content: readonly Buffer[]): Buffer {
  return encode(CONTEXT, tag | CONSTRUCTED, Buffer.concat(content))
}

/** [tag] IMPLICIT of a primitive type. */
export function taggedBytes(tag: number, content: Buffer): Buffer {
  return encode(CONTEXT, tag, content)
}

export function oid(dotted: string): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.OID, binary(forge.asn1.oidToDer(dotted).getBytes()))
}

/** A non-negative INTEGER, from a small number or from big-endian bytes. */
export function integer(value: number | Buffer): Buffer {
  const bytes =
    typeof value === 'number' ? binary(forge.asn1.integerToDer(value).getBytes()) : value
  return encode(UNIVERSAL, forge.asn1.Type.INTEGER, bytes)
}

/** An ENUMERATED of one byte. */
export function enumerated(value: number): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.ENUMERATED, Buffer.from([value]))
}

export function boolean(value: boolean): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.BOOLEAN, Buffer.from([value ? 0xff : 0]))
}

export function nullValue(): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.NULL, Buffer.alloc(0))
}

export function octetString(bytes: Buffer): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.OCTETSTRING, bytes)
}

export function bitString(bytes: Buffer, unusedBits = 0): Buffer {
  return encode(
    UNIVERSAL,
    forge.asn1.Type.BITSTRING,
    Buffer.concat([Buffer.from([unusedBits]), bytes]),
  )
}

/** Names are always UTF8String: Go refuses forge's default, an unchecked PrintableString, for names like a_b. */
export function utf8(text: string): Buffer {
  return encode(UNIVERSAL, forge.asn1.Type.UTF8, Buffer.from(text, 'utf8'))
}

/** Time by RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime after. */
export function time(date: Date): Buffer {
  return date.getUTCFullYear() < 2050
    ? encode(UNIVERSAL, forge.asn1.Type.UTCTIME, binary(forge.asn1.dateToUtcTime(date)))
    : encode(
        UNIVERSAL,
        forge.asn1.Type.GENERALIZEDTIME,
        binary(forge.asn1.dateToGeneralizedTime(date)),
      )
}

function encode(tagClass: number, type: number, content: Buffer): Buffer {
  // as primitive, even where `type` has the constructed bit: the content is already encoded
  const node = forge.asn1.create(tagClass, type, false, content.toString('latin1'))
  return binary(forge.asn1.toDer(node).getBytes())
}

function binary(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1')
}
