/** Holds the part of OpenClaw's types that the plugin has written down against those of the installed OpenClaw, by the compiler. */
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { InstalledOpenClaw } from './install-openclaw.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const TYPES = join(ROOT, 'openclaw-plugin/src/host/openclaw-types.ts')

const program = (types: string) => `
import type { OpenClawPluginApi } from 'openclaw/plugin-sdk/plugin-entry'
import type { HostApi } from ${JSON.stringify(types)}
type Config = OpenClawPluginApi['config']
// what OpenClaw gives is what the plugin takes
export const take = (api: OpenClawPluginApi): HostApi<Config> => api
`

/** What the compiler says of it: empty when all is well. */
export async function hostTypeFaults(openclaw: InstalledOpenClaw): Promise<string> {
  const dir = join(openclaw.dir, `types.${process.pid}`)
  await mkdir(dir, { recursive: true })
  try {
    await writeFile(join(dir, 'hold.ts'), program(TYPES))
    const compilerOptions = {
      ...{ target: 'esnext', module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true },
      ...{ exactOptionalPropertyTypes: false, allowImportingTsExtensions: true },
      types: [join(ROOT, 'node_modules/@types/node')],
    }
    await writeFile(
      join(dir, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['hold.ts'] }),
    )
    await writeFile(join(dir, 'package.json'), '{"type":"module"}')
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await promisify(execFile)(process.execPath, [tsc, '-p', dir])
    return ''
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
