/** Opens the ports for operators: the admin port, and the health port where there is one. */
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
  readonly admin: { readonly listen: ListenAddress }
  readonly health: { readonly listen: ListenAddress | null }
}

/** @throws MeshError MESH_CONFIG_PORT; then none is open */
export async function openOperatorPorts(
  { admin: { listen }, health: { listen: healthListen } }: OperatorListeners,
  view: Omit<AdminPortOptions, 'listen'>,
): Promise<OperatorPorts> {
  const admin = await createAdminPort({ ...view, listen })
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
