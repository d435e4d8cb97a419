/** Which ports the processes of the development mesh listen on. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { MeshError } from '@clawmesh/proto'
import { freePorts } from './free-ports.ts'

export interface Ports {
  readonly egress: number
  readonly delegation: number
  readonly admin: number
  readonly researcher: number
  readonly dns: number
  readonly documents: number
}

const USUAL: Ports = {
  egress: 8080,
  delegation: 8443,
  admin: 9090,
  researcher: 7443,
  dns: 7453,
  documents: 7480,
}

/** @param base null for the usual ones, 0 for any that are free. @throws MeshError MESH_CONFIG_PORT naming each that is taken. */
export async function choosePorts(base: number | null): Promise<Ports> {
  if (base === 0) {
    const free = await freePorts(Object.keys(USUAL).length)
    return from((index) => free[index] ?? 0)
  }
  const ports = base === null ? USUAL : from((index) => base + index)
  const taken: string[] = []
  for (const [what, port] of Object.entries(ports)) {
    const server = await listen(port)
    if (server === null) taken.push(`${port} (${what})`)
    else await server.close()
  }
  if (taken.length === 0) return ports
  const what = taken.length === 1 ? 'port' : 'ports'
  throw new MeshError(
    'MESH_CONFIG_PORT',
    `${what} ${taken.join(', ')} of 127.0.0.1 cannot be had: taken, or not allowed`,
    {
      hint: `end what uses them, perhaps another npm start, or choose others: npm start -- --port-base ${base === 20_000 ? 30_000 : 20_000}, or set MESH_DEV_PORT_BASE`,
    },
  )
}

function from(port: (index: number) => number): Ports {
  return {
    egress: port(0),
    delegation: port(1),
    admin: port(2),
    researcher: port(3),
    dns: port(4),
    documents: port(5),
  }
}

async function listen(port: number): Promise<{ close(): Promise<void> } | null> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch {
    // taken, or not ours to take: the same to whoever asks
    return null
  }
  return {
    async close() {
      server.close()
      await once(server, 'close')
    },
  }
}
