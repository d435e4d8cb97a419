/** Looks at the beginning of an answer of the egress port: is it a refusal of the token itself? */
import { HEADER_REFUSAL, isErrorCode } from '@clawmesh/proto'
import { blamesToken } from '../refusal.ts'

const REFUSED = Buffer.from('HTTP/1.1 403 ', 'latin1')
const END = Buffer.from('\r\n\r\n', 'latin1')
const MAX_HEAD_BYTES = 16_384
/** The gateway lets no destination send it. */
const REASON = new RegExp(`\\r\\n${HEADER_REFUSAL}: *(MESH_[A-Z_]+) *\\r\\n`, 'i')

/** `more`: not to be said yet. `token`: another token may be taken. `pass`: whatever else it is. */
export function judgeAnswer(bytes: Buffer): 'more' | 'token' | 'pass' {
  const seen = Math.min(bytes.length, REFUSED.length)
  if (bytes.compare(REFUSED, 0, seen, 0, seen) !== 0) return 'pass'
  const end = bytes.indexOf(END)
  if (end === -1) return bytes.length > MAX_HEAD_BYTES ? 'pass' : 'more'
  const [, code] = REASON.exec(bytes.toString('latin1', 0, end + 2)) ?? []
  return code !== undefined && isErrorCode(code) && blamesToken(code) ? 'token' : 'pass'
}
