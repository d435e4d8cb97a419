/**
 * Reads the head of a request to the relay, and writes it anew with another credential. All other lines stay as they came, byte
 * for byte: the gateway judges them. A head is refused here only where it could hide a credential from the relay.
 */
import { MeshError, type Secret } from '@clawmesh/proto'

export interface ProxyHead {
  readonly method: string
  /** `own`: origin form, which asks the relay itself. */
  readonly form: 'connect' | 'absolute' | 'own'
  readonly target: string
  /** The password of `Proxy-Authorization: Basic`; null without one. */
  readonly password: string | null
  readonly traceparent: string | null
  /** The value of a field, which is named in lower case; of several, the first. */
  field(name: string): string | null
  /** What the gateway gets: with a token, and as the last request of its connection. */
  withToken(token: Secret<string>): Buffer
}

/** As the gateway takes them. */
export const MAX_HEAD_BYTES = 16_384

const END = Buffer.from('\r\n\r\n', 'latin1')
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.[01]$/
/** Refuses folded lines, blanks before the colon, and controls: a bare CR or LF may begin a line for another parser. */
const LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i
const CREDENTIAL = 'proxy-authorization'

/**
 * The number of bytes of a head with its empty line, or null while that has not come.
 * @throws MeshError MESH_EGRESS_HEAD_TOO_LARGE
 */
export function headLength(bytes: Buffer): number | null {
  const end = bytes.indexOf(END)
  if (end === -1 ? bytes.length > MAX_HEAD_BYTES : end + END.length > MAX_HEAD_BYTES)
    throw new MeshError('MESH_EGRESS_HEAD_TOO_LARGE')
  return end === -1 ? null : end + END.length
}

/** @param bytes a whole head, with its empty line. @throws MeshError MESH_EGRESS_MALFORMED */
export function readProxyHead(bytes: Buffer): ProxyHead {
  const [first = '', ...lines] = bytes
    .toString('latin1', 0, bytes.length - END.length)
    .split('\r\n')
  const [, method, target] = REQUEST_LINE.exec(first) ?? []
  if (method === undefined || target === undefined) throw malformed('the request line is malformed')
  const fields = lines.map(readField)
  const credentials = fields.filter(({ name }) => name === CREDENTIAL)
  if (credentials.length > 1) throw malformed('there are two credentials for the proxy')
  const field = (name: string) => fields.find((each) => each.name === name)?.value ?? null
  return {
    method,
    form: method === 'CONNECT' ? 'connect' : target.includes('://') ? 'absolute' : 'own',
    target,
    password: passwordOf(credentials[0]?.value),
    traceparent: field('traceparent'),
    field,
    withToken(token) {
      const kept = fields.filter(({ name }) => name !== CREDENTIAL).map(({ line }) => line)
      const own = [`${CREDENTIAL}: Bearer ${token.reveal()}`, 'connection: close']
      return Buffer.from([first, ...kept, ...own, '', ''].join('\r\n'), 'latin1')
    },
  }
}

interface Field {
  /** Lower case. */
  readonly name: string
  readonly value: string
  /** As sent. */
  readonly line: string
}

function readField(line: string): Field {
  const [, name, value] = LINE.exec(line) ?? []
  if (name === undefined || value === undefined) throw malformed('a header field is malformed')
  return { name: name.toLowerCase(), value: value.trim(), line }
}

function passwordOf(credential: string | undefined): string | null {
  const [, encoded] = BASIC.exec(credential ?? '') ?? []
  if (encoded === undefined) return null
  const decoded = Buffer.from(encoded, 'base64').toString('latin1')
  const colon = decoded.indexOf(':')
  return colon === -1 ? null : decoded.slice(colon + 1)
}

function malformed(message: string): MeshError {
  return new MeshError('MESH_EGRESS_MALFORMED', message)
}
