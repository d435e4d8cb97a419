/** Version 1 of the PROXY protocol (section 2.1): one line of text, `PROXY TCP4 203.0.113.7 10.0.0.2 51234 443`. */
import { formatIp, parseIpv4, parseIpv6, unmapped } from '../ip.ts'
import { type HeaderReading, MORE, malformed, withoutClient } from './reading.ts'

/** With CR LF, for the longest line. */
const MAX_BYTES = 107
const PRINTABLE = /^[ -~]*$/
const LINE = /^PROXY (TCP[46]) (\S+) (\S+) (\S+) (\S+)$/
/** Without leading zeros. */
const NUMBER = /^(?:0|[1-9]\d{0,4})$/
const MAX_PORT = 65_535

/** @param bytes that begin with `PROXY ` */
export function readVersion1(bytes: Buffer): HeaderReading {
  const text = bytes.toString('latin1', 0, MAX_BYTES)
  const end = text.indexOf('\r\n')
  if (end !== -1) return readLine(text.slice(0, end))
  if (text.length === MAX_BYTES) return malformed(`its line is longer than ${MAX_BYTES} bytes`)
  // the last byte may be the CR of the end
  return PRINTABLE.test(text.endsWith('\r') ? text.slice(0, -1) : text) ? MORE : malformed(NO_TEXT)
}

const NO_TEXT = 'its line has bytes that are not printable ASCII'

function readLine(line: string): HeaderReading {
  if (!PRINTABLE.test(line)) return malformed(NO_TEXT)
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN '))
    return withoutClient('UNKNOWN: the proxy knows no client')
  const [, family = '', source = '', destination = '', sourcePort = '', port = ''] =
    LINE.exec(line) ?? []
  const parse = family === 'TCP4' ? parseIpv4 : parseIpv6
  const client = parse(source)
  if (family === '' || client === null || parse(destination) === null)
    return malformed('its line is not PROXY, TCP4 or TCP6, two addresses of it and two ports')
  if (!isPort(sourcePort) || !isPort(port)) return malformed('a port is not a number up to 65535')
  return {
    kind: 'header',
    length: line.length + 2,
    client: {
      ip: formatIp(unmapped(client)),
      port: Number(sourcePort),
      proxyPort: Number(port),
    },
  }
}

function isPort(text: string): boolean {
  return NUMBER.test(text) && Number(text) <= MAX_PORT
}
