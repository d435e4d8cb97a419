/** Writes headers of the PROXY protocol, as proxies send them before the bytes of a client. */
import { isIPv4 } from 'node:net'

export interface Named {
  readonly ip: string
  readonly port: number
  /** Where the client has connected to. Default 10.0.0.2 or fd00::2, and 443. */
  readonly to?: string
  readonly proxyPort?: number
}

/** A line of text. */
export function version1({ ip, port, to, proxyPort = 443 }: Named): Buffer {
  const family = isIPv4(ip) ? 'TCP4' : 'TCP6'
  const destination = to ?? (isIPv4(ip) ? '10.0.0.2' : 'fd00::2')
  return Buffer.from(`PROXY ${family} ${ip} ${destination} ${port} ${proxyPort}\r\n`)
}

export const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n')

export interface Binary {
  /** Version and command. Default 0x21, version 2 and PROXY. */
  readonly command?: number
  /** Family and transport. Default TCP over what the address is of. */
  readonly family?: number
  /** Behind the addresses. Default none. */
  readonly tlvs?: readonly (readonly [type: number, value: Buffer])[]
  /** Adds a TLV with the CRC-32C of all, as `proxy-v2-options crc32c` of HAProxy does. Default false. */
  readonly checksum?: boolean
}

export function version2(
  { ip, port, to, proxyPort = 443 }: Named,
  { command = 0x21, family, tlvs = [], checksum = false }: Binary = {},
): Buffer {
  const source = bytesOf(ip)
  const destination = bytesOf(to ?? (isIPv4(ip) ? '10.0.0.2' : 'fd00::2'))
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(port)
  ports.writeUInt16BE(proxyPort, 2)
  const all = checksum ? [...tlvs, [0x03, Buffer.alloc(4)] as const] : tlvs
  const behind = all.map(([type, value]) => {
    const head = Buffer.of(type, value.length >> 8, value.length & 0xff)
    return Buffer.concat([head, value])
  })
  const rest = Buffer.concat([source, destination, ports, ...behind])
  const header = raw(command, family ?? (isIPv4(ip) ? 0x11 : 0x21), rest)
  if (checksum) header.writeUInt32BE(castagnoli(header), header.length - 4)
  return header
}

function bytesOf(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split('.').map(Number))
  // without dots
  const { hostname } = new URL(`http://[${ip}]/`)
  const [head = '', tail] = hostname.slice(1, -1).split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [before, after] = [groups(head), groups(tail ?? '')]
  const zeros = Array<string>(8 - before.length - after.length).fill('0')
  const whole = [...before, ...zeros, ...after].map((group) => group.padStart(4, '0'))
  return Buffer.from(whole.join(''), 'hex')
}

/** Any version, command, family, and bytes behind them. */
export function raw(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  const fixed = Buffer.of(command, family, length >> 8, length & 0xff)
  return Buffer.concat([SIGNATURE, fixed, rest])
}

/** CRC-32C by division of polynomials, digit by digit: written otherwise than the gateway's, which it judges. */
function castagnoli(bytes: Buffer): number {
  const reflected = (byte: number) => [...byte.toString(2).padStart(8, '0')].reverse().map(Number)
  const bits = [...bytes].flatMap(reflected).concat(Array<number>(32).fill(0))
  for (let at = 0; at < 32; at += 1) bits[at] = 1 - (bits[at] ?? 0)
  const divisor = [...(0x11edc6f41).toString(2)].map(Number)
  for (let at = 0; at + 32 < bits.length; at += 1)
    if (bits[at] === 1)
      divisor.forEach((digit, step) => {
        bits[at + step] = (bits[at + step] ?? 0) ^ digit
      })
  const remainder = bits.slice(-32).map((bit) => 1 - bit)
  return Number.parseInt(remainder.reverse().join(''), 2)
}
