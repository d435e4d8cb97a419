/**
 * Version 2 of the PROXY protocol (section 2.2), in binary: twelve bytes of signature, version and command, family and
 * transport, the length of what follows (addresses, ports, then TLVs). Of the TLVs only the checksum is judged.
 */
import { formatIp, unmapped } from '../ip.ts'
import { crc32c } from './crc32c.ts'
import { type HeaderReading, MORE, malformed, withoutClient } from './reading.ts'

/** Signature, version and command, family and transport, length. */
const FIXED_BYTES = 16
/** In all. The addresses take 36 bytes; TLVs with identities of a certificate take hundreds. */
export const MAX_BYTES = 4_096
const CHECKSUM = 0x03
const CHECKSUM_BYTES = 4
/** Type, and length in two bytes. */
const TLV_BYTES = 3
/** TCP over IPv4, and over IPv6, with the bytes of one address. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x11, 4],
  [0x21, 16],
])

/** @param bytes that begin with the signature */
export function readVersion2(bytes: Buffer): HeaderReading {
  if (bytes.length < FIXED_BYTES) return MORE
  const versionAndCommand = bytes.readUInt8(12)
  const version = versionAndCommand >> 4
  const command = versionAndCommand & 0x0f
  if (version !== 2) return malformed(`it is of version ${version}`)
  if (command > 1) return malformed(`its command is ${command}`)
  const length = FIXED_BYTES + bytes.readUInt16BE(14)
  if (length > MAX_BYTES) return malformed(`it is longer than ${MAX_BYTES} bytes`)
  if (bytes.length < length) return MORE
  const header = bytes.subarray(0, length)
  return command === 0 ? withoutClient('LOCAL: the proxy speaks for itself') : readProxied(header)
}

function readProxied(header: Buffer): HeaderReading {
  const family = header.readUInt8(13)
  if (family >> 4 > 3 || (family & 0x0f) > 2)
    return malformed(`its family and transport are 0x${family.toString(16).padStart(2, '0')}`)
  const size = ADDRESS_BYTES.get(family)
  if (size === undefined) return withoutClient('the client is not connected by TCP over IP')
  const portsAt = FIXED_BYTES + size * 2
  const tlvsAt = portsAt + 4
  if (header.length < tlvsAt) return malformed('it is too short for its addresses')
  const fault = faultOfTlvs(header, tlvsAt)
  if (fault !== null) return malformed(fault)
  return {
    kind: 'header',
    length: header.length,
    client: {
      ip: formatIp(unmapped(header.subarray(FIXED_BYTES, FIXED_BYTES + size))),
      port: header.readUInt16BE(portsAt),
      proxyPort: header.readUInt16BE(portsAt + 2),
    },
  }
}

/** Section 2.2.1: a checksum that does not fit ends the connection; without one there is nothing to judge. */
function faultOfTlvs(header: Buffer, from: number): string | null {
  let checksumAt: number | null = null
  for (let at = from; at < header.length; ) {
    if (header.length - at < TLV_BYTES) return 'a TLV is cut short'
    const valueAt = at + TLV_BYTES
    const length = header.readUInt16BE(at + 1)
    if (header.length - valueAt < length) return 'a TLV is longer than the header'
    if (header.readUInt8(at) === CHECKSUM) {
      if (length !== CHECKSUM_BYTES || checksumAt !== null) return 'its checksum is malformed'
      checksumAt = valueAt
    }
    at = valueAt + length
  }
  if (checksumAt === null) return null
  const zeroed = Buffer.from(header)
  zeroed.fill(0, checksumAt, checksumAt + CHECKSUM_BYTES)
  return crc32c(zeroed) === header.readUInt32BE(checksumAt) ? null : 'its checksum does not fit'
}
