/** `mesh-agent mcp` over HTTP, as an agent of its own: one process for all sessions of a host. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startProcess } from '../../scripts/dev/child-process.ts'
import { freePort } from '../../scripts/dev/free-ports.ts'
import type { Mesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

export interface McpDoor {
  /** For `mcp.servers` of OpenClaw. */
  readonly server: Readonly<Record<string, unknown>>
  close(): Promise<unknown>
}

const COMMAND = new URL('../../node_modules/.bin/mesh-agent', import.meta.url)

export async function startMcpDoor(mesh: Mesh): Promise<McpDoor> {
  const port = await freePort()
  const dir = join(mesh.dir, 'mcp')
  await mkdir(dir, { recursive: true })
  const secretFile = join(dir, 'secret')
  const door = startProcess({
    ...{ name: 'mesh-agent mcp', file: COMMAND, foreign: true },
    args: [
      ...['mcp', '--identity', await mesh.identity('acme', 'door')],
      ...['--gateway', mesh.gateway.delegation, '--listen', `127.0.0.1:${port}`],
      ...['--state', dir, '--secret-file', secretFile],
    ],
  })
  const secret = await waitFor(
    'the door',
    async () => {
      if (!door.lastLines().some((line) => line.includes('listening'))) return false
      return (await readFile(secretFile, 'utf8')).trim()
    },
    { withinMs: 120_000 },
  )
  const headers = { Authorization: `Bearer ${secret}` }
  return {
    server: { url: `http://127.0.0.1:${port}/mcp`, transport: 'streamable-http', headers },
    close: () => door.stop(10_000),
  }
}
