/** Listening, with one clear sentence when it cannot be done. */
import { once } from 'node:events'
import type { Server } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import type { ListenAddress } from './port.ts'

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another process',
  EACCES: 'needs a permission that this user lacks',
  EADDRNOTAVAIL: 'is not an address of this machine',
  EMFILE: 'cannot be opened: too many open files',
}

/**
 * @param option the configuration key that changes the address, e.g. `delegation.listen`.
 * @throws MeshError MESH_CONFIG_PORT
 */
export async function listenOn(
  server: Server,
  listen: ListenAddress,
  option: string,
): Promise<ListenAddress> {
  try {
    const listening = once(server, 'listening')
    server.listen(listen.port, listen.host)
    await listening
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
    throw new MeshError(
      'MESH_CONFIG_PORT',
      `${host}:${listen.port} ${WHY[code] ?? 'cannot be listened on'}`,
      { cause, hint: `change ${option}, or end what uses the address` },
    )
  }
  const address = server.address()
  if (address === null || typeof address === 'string') return listen
  return { host: address.address, port: address.port }
}
