/** A TCP proxy that names its clients by a PROXY header, as HAProxy and nginx do, and cuts what it sends as it is told. */
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { Named } from './proxy-header.ts'

export interface NamingProxyOptions {
  /** The gateway's port. */
  readonly to: { readonly host: string; readonly port: number }
  /** The address that it connects from. Default 127.23.9.1. */
  readonly from?: string
  /** By default the client's own address, and the port of this proxy. */
  readonly client?: Pick<Named, 'ip' | 'port'>
  readonly header: (client: Named) => Buffer
  /**
   * What the first packets are: the header alone; the header and the first bytes of the client in one; each byte of
   * the header and a few more alone. Default together.
   */
  readonly first?: 'apart' | 'together' | 'bytes'
}

export interface NamingProxy {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

/** A listed proxy of tests has an address in here. */
export const PROXIES = '127.23.9.0/24'

const ALONE_BYTES = 16

export async function startNamingProxy(options: NamingProxyOptions): Promise<NamingProxy> {
  const { to, from = '127.23.9.1', first = 'together' } = options
  const open = new Set<net.Socket>()
  const server = net.createServer({ noDelay: true }, async (near) => {
    const { remoteAddress: ip = '', remotePort: port = 0, localPort: proxyPort = 0 } = near
    const header = options.header({ ip, port, proxyPort, ...options.client })
    const far = net.connect({ ...to, localAddress: from, noDelay: true })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one)
      one
        .on('error', () => {})
        .once('close', () => {
          open.delete(one)
          other.destroy()
        })
    }
    far.pipe(near)
    await write(far, near, header, first)
    near.pipe(far)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    async close() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function write(
  far: net.Socket,
  near: net.Socket,
  header: Buffer,
  first: 'apart' | 'together' | 'bytes',
): Promise<void> {
  if (first === 'apart') {
    far.write(header)
    return
  }
  const chunk = await new Promise<Buffer>((resolve) => {
    near.once('data', resolve).once('close', () => resolve(Buffer.alloc(0)))
  })
  near.pause()
  const bytes = Buffer.concat([header, chunk])
  const alone = first === 'together' ? 0 : header.length + ALONE_BYTES
  for (const byte of bytes.subarray(0, alone)) {
    far.write(Buffer.of(byte))
    await new Promise(setImmediate)
  }
  far.write(bytes.subarray(alone))
}
