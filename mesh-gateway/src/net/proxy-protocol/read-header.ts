/**
 * Reads the header of the PROXY protocol (proxy-protocol.txt of HAProxy), by which a proxy names the client of a TCP
 * connection. Strict: a header that is not exactly as the specification has it is a fault, and so is one that names no
 * client over TCP.
 */
import { faulty, type HeaderReading, MORE } from './reading.ts'
import { readVersion1 } from './version-1.ts'
import { readVersion2 } from './version-2.ts'

const VERSION_1 = Buffer.from('PROXY ')
const VERSION_2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n')

/**
 * The result is the same however the bytes were cut into pieces, and no byte after the header has a part in it.
 * @param bytes all that has come on the connection
 */
export function readHeader(bytes: Buffer): HeaderReading {
  const one = compare(bytes, VERSION_1)
  if (one === 'whole') return readVersion1(bytes)
  const two = compare(bytes, VERSION_2)
  if (two === 'whole') return readVersion2(bytes)
  if (one === 'part' || two === 'part') return MORE
  return faulty('proxy-missing', 'it does not begin with a PROXY header')
}

function compare(bytes: Buffer, signature: Buffer): 'whole' | 'part' | 'not' {
  const length = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, length, 0, length) !== 0) return 'not'
  return length === signature.length ? 'whole' : 'part'
}
