/**
 * Makes what is installed into OpenClaw: one file of JavaScript with all that it imports, the manifest, the skill, and a package.json
 * without dependencies, since OpenClaw installs a plugin by a real `npm install`.
 */
import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SKILL_NAME, skillText } from '@clawmesh/agent/skill'
import { build } from 'esbuild'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const OPENCLAW = '2026.9.6'
/** Packages of CommonJS ask for modules of Node by `require`, which a bundle in ESM form must bring along. */
const REQUIRE =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"

/** @param dir is made; what is in it and not of the plugin stays */
export async function buildPlugin(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  const bundle = async (digest: string) => {
    const { outputFiles } = await build({
      ...{ bundle: true, minify: true, platform: 'node', target: 'node24', logLevel: 'silent' },
      ...{ entryPoints: [join(HERE, 'src/index.ts')], format: 'esm', write: false },
      // readable stacks in the log of OpenClaw
      ...{ keepNames: true, legalComments: 'none' },
      banner: { js: REQUIRE },
      define: { CLAWMESH_BUILD: JSON.stringify(digest) },
    })
    return outputFiles[0]?.text ?? ''
  }
  const digest = createHash('sha256')
    .update(await bundle(''))
    .digest('hex')
    .slice(0, 16)
  await writeFile(join(dir, 'index.js'), await bundle(digest))
  await cp(join(HERE, 'openclaw.plugin.json'), join(dir, 'openclaw.plugin.json'))
  const skill = join(dir, 'skills', SKILL_NAME)
  await mkdir(skill, { recursive: true })
  await writeFile(join(skill, 'SKILL.md'), skillText())
  await cp(join(HERE, '../LICENSE'), join(dir, 'LICENSE'))
  const { devDependencies, exports, ...manifest }: Record<string, unknown> = JSON.parse(
    await readFile(join(HERE, 'package.json'), 'utf8'),
  )
  const made = {
    ...manifest,
    files: ['index.js', 'openclaw.plugin.json', 'skills', 'LICENSE'],
    peerDependencies: { openclaw: `>=${OPENCLAW}` },
    openclaw: { extensions: ['./index.js'], compat: { pluginApi: `>=${OPENCLAW}` } },
  }
  await writeFile(join(dir, 'package.json'), `${JSON.stringify(made, null, 2)}\n`)
}
