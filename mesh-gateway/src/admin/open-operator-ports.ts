/** Opens the ports for operators: the admin port, and the health port where there is one. */
import { isLoopback } from '@clawmesh/agent-sdk/mesh'
import type { ListenAddress } from '../net/port.ts'
import { type AdminPortOptions, createAdminPort } from './admin-port.ts'
import { createHealthPort } from './health-port.ts'

export interface OperatorPorts {
  readonly admin: ListenAddress
  /** Null without one. */
  readonly health: ListenAddress | null
  close(): Promise<void>
}

export interface OperatorListeners {
  readonly admin: {
    readonly listen: ListenAddress
    /** `auto`: where the port listens on loopback, or on a Unix socket. */
    readonly console: 'auto' | 'on' | 'off'
  }
  readonly health: { readonly listen: ListenAddress | null }
}

/** @throws MeshError MESH_CONFIG_PORT; then none is open */
export async function openOperatorPorts(
  { admin: { listen, console }, health: { listen: healthListen } }: OperatorListeners,
  view: Omit<AdminPortOptions, 'listen' | 'console'>,
): Promise<OperatorPorts> {
  const shown = console === 'on' || (console === 'auto' && isLocal(listen))
  const admin = await createAdminPort({ ...view, listen, console: shown })
  try {
    const health =
      healthListen === null ? null : await createHealthPort({ ...view, listen: healthListen })
    return {
      admin: admin.address,
      health: health?.address ?? null,
      async close() {
        await Promise.all([admin.close(), health?.close()])
      },
    }
  } catch (cause) {
    await admin.close()
    throw cause
  }
}

function isLocal({ host, path }: ListenAddress): boolean {
  return path !== undefined || isLoopback(host)
}
