/** Listens on an address, and words the error when that fails. */
import { once } from 'node:events'
import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import { formatListenAddress } from './listen-address.ts'
import type { ListenAddress } from './port.ts'

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another process',
  EACCES: 'needs a permission that this user lacks',
  EADDRNOTAVAIL: 'is not an address of this machine',
  EMFILE: 'cannot be opened: too many open files',
}

/**
 * @param option the configuration key of the address, e.g. `delegation.listen`
 * @throws MeshError MESH_CONFIG_PORT
 */
export async function listenOn(
  server: Server,
  listen: ListenAddress,
  option: string,
): Promise<ListenAddress> {
  try {
    const listening = once(server, 'listening')
    if (listen.path === undefined) server.listen(listen.port, listen.host)
    else await listenOnSocket(server, listen.path)
    await listening
    if (listen.path !== undefined) await chmod(listen.path, SOCKET_MODE)
  } catch (cause) {
    server.close()
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    throw new MeshError(
      'MESH_CONFIG_PORT',
      `${formatListenAddress(listen)} ${WHY[code] ?? 'cannot be listened on'}`,
      { cause, hint: `change ${option}, or end what uses the address` },
    )
  }
  const address = server.address()
  if (address === null || typeof address === 'string') return listen
  return { host: address.address, port: address.port }
}

/** Owner and group may connect; the operator controls access to the directory. */
const SOCKET_MODE = 0o660
const OTHERS = 0o007

/** Removes an abandoned socket, which a killed process leaves; never one on which a process still listens. */
async function listenOnSocket(server: Server, path: string): Promise<void> {
  await removeAbandoned(path)
  // the socket exists before its mode can be set: the umask already excludes other users
  const before = closeUmaskToOthers()
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
}

/** Closes files and sockets that this process creates from now on to other users. Returns the previous umask. */
export function closeUmaskToOthers(): number {
  return process.umask(process.umask() | OTHERS)
}

/** Where several processes share one socket, exactly one of them calls this first. */
export async function removeAbandoned(path: string): Promise<void> {
  if (await isAbandoned(path)) await unlink(path)
}

async function isAbandoned(path: string): Promise<boolean> {
  const there = await lstat(path).catch(() => null)
  // a connection to a regular file is refused too
  if (there === null || !there.isSocket()) return false
  return await new Promise((resolve) => {
    const probe = connect(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.on('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'))
  })
}
