/** Where the files of one MCP session go: as told, else where the client says that it works, else a directory of our own. */
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Server } from '@modelcontextprotocol/sdk/server/index.js'

/** A client that does not answer must not hold a call up. */
const ROOTS_MS = 2_000

/** @returns the directory; asked for once in a session */
export function createWorkspace(
  server: Server,
  { workspaceDir, cwd }: { readonly workspaceDir: string | undefined; readonly cwd: string | null },
): (stateDir: string) => Promise<string> {
  let found: Promise<string | null> | null = null
  return async (stateDir) => {
    if (workspaceDir !== undefined) return workspaceDir
    found ??= rootOf(server)
    const root = (await found) ?? placeOfWork(cwd)
    return root ?? stateDir
  }
}

/** A client starts its servers in its project, or anywhere: those two are no project. */
function placeOfWork(cwd: string | null): string | null {
  return cwd === null || cwd === '/' || cwd === homedir() ? null : cwd
}

async function rootOf(server: Server): Promise<string | null> {
  if (server.getClientCapabilities()?.roots === undefined) return null
  try {
    const { roots } = await server.listRoots(undefined, { timeout: ROOTS_MS })
    for (const { uri } of roots) {
      if (!uri.startsWith('file://')) continue
      const path = fileURLToPath(uri)
      if ((await stat(join(path, '.'))).isDirectory()) return path
    }
  } catch {
    // it has none, or they are on another machine
  }
  return null
}
