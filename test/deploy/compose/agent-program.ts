/** The agent of the stack: the image of the gateway, with curl of this machine mounted into it. */
import { realpathSync } from 'node:fs'
import { librariesOf } from '../../../deploy/image/system-files.ts'

const CURL = '/usr/bin/curl'

/** Volumes for a service of compose. */
export function curlVolumes(): string[] {
  const present = new Set(librariesOf(process.execPath))
  const missing = librariesOf(CURL).filter((path) => !present.has(path))
  return [CURL, ...missing].map((path) => `${realpathSync(path)}:${path}:ro`)
}
