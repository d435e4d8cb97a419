/** Finds the SKILL.md files of this OpenClaw that name the mesh. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Declaration } from './declarations.ts'
import { readNeeds } from './read-skill-file.ts'

export interface SkillFiles {
  readonly declarations: readonly Declaration[]
  /** Files that name the mesh in a way that cannot be read: a sentence each. */
  readonly faults: readonly string[]
}

const MAX_BYTES = 256 * 1024
const MAX_SKILLS = 1_000

/**
 * @param folders each with a folder for each skill; those that are not there do not count
 * @param read the text of a file of `maxBytes` at most
 */
export async function readSkillFiles(
  folders: readonly string[],
  read: (path: string, options: { readonly maxBytes: number }) => Promise<Buffer>,
): Promise<SkillFiles> {
  const declarations: Declaration[] = []
  const faults: string[] = []
  for (const folder of new Set(folders)) {
    const names = await readdir(folder).catch(() => [])
    for (const name of names.sort().slice(0, MAX_SKILLS)) {
      const path = join(folder, name, 'SKILL.md')
      // most folders have none, and what OpenClaw itself cannot read is no skill
      const bytes = await read(path, { maxBytes: MAX_BYTES }).catch(() => null)
      if (bytes === null) continue
      try {
        const needs = readNeeds(bytes.toString('utf8'))
        if (needs === null) continue
        const { patterns, ...single } = needs
        declarations.push({ by: `the skill ${name}`, ...single })
        if (patterns.length > 0) faults.push(`${path}: ${refusedPatterns(patterns)}`)
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
        faults.push(`${path}: ${error.message}`)
      }
    }
  }
  return { declarations, faults }
}

function refusedPatterns(patterns: readonly string[]): string {
  const shown = patterns.slice(0, 5).map((one) => JSON.stringify(one.slice(0, 100)))
  return `metadata.clawmesh names ${shown.join(', ')}, which does not count: only the configuration of the plugin may have a *`
}
