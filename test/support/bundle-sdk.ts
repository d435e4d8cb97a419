/** One file of an entry and all that it imports, as the author of a plugin would make it with esbuild. */
import { stat } from 'node:fs/promises'
import { build } from 'esbuild'

/** Packages of CommonJS ask for modules of Node by `require`, which a bundle in ESM form must bring along. */
const REQUIRE =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"

/** @returns its size in bytes */
export async function bundleSdk(
  entry: string,
  outfile: string,
  format: 'esm' | 'cjs',
  workingDir: string,
): Promise<number> {
  await build({
    ...{ bundle: true, minify: true, platform: 'node', target: 'node24', logLevel: 'silent' },
    ...{ entryPoints: [entry], outfile, format, absWorkingDir: workingDir },
    ...(format === 'esm' ? { banner: { js: REQUIRE } } : {}),
  })
  return (await stat(outfile)).size
}
