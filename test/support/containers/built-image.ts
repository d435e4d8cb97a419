/** The image of this checkout, made once for all parts that need it: it is made anew when its sources have changed. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type MadeImage, makeImage } from '../../../deploy/image/make-image.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const CACHE = join(ROOT, 'node_modules/.cache/image')
const SOURCES = [
  ...['proto', 'agent-sdk', 'pki', 'mesh-gateway', 'mesh-agent', 'openclaw-plugin'],
  ...['deploy/image', 'scripts/build.ts', 'scripts/dev', 'package.json', 'package-lock.json'],
]
/** As the guide names it. */
export const REFERENCE = 'localhost/clawmesh:0.1.0'
/** Times and labels that do not depend on the commit. */
export const FIXED = {
  reference: REFERENCE,
  version: '0.1.0',
  revision: null,
  epoch: 1_700_000_000,
} as const

export interface BuiltImage extends MadeImage {
  /** The directory with rootfs.tar, Dockerfile and clawmesh.tar. */
  readonly out: string
}

export async function builtImage(): Promise<BuiltImage> {
  const out = join(CACHE, keyOf())
  const note = join(out, 'image.json')
  if (existsSync(note)) return { ...JSON.parse(readFileSync(note, 'utf8')), out }
  const making = `${out}.${process.pid}`
  const made = await makeImage({ out: making, ...FIXED })
  writeFileSync(
    join(making, 'image.json'),
    JSON.stringify({ ...made, archive: join(out, 'clawmesh.tar') }),
  )
  renameSync(making, out)
  // of older sources
  for (const name of readdirSync(CACHE))
    if (join(CACHE, name) !== out) rmSync(join(CACHE, name), { recursive: true, force: true })
  return { ...made, archive: join(out, 'clawmesh.tar'), out }
}

function keyOf(): string {
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...SOURCES],
    { cwd: ROOT, encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 },
  )
  const hash = createHash('sha256').update(process.versions.node)
  for (const path of [...new Set(listed.split('\0'))].sort())
    if (path !== '' && existsSync(join(ROOT, path)))
      hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)))
  return hash.digest('hex').slice(0, 16)
}
