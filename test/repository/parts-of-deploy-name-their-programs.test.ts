import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PARTS } from '../deploy/parts.ts'
import { TOOLS } from '../deploy/tools/tools.ts'

const DEPLOY = fileURLToPath(new URL('../deploy/', import.meta.url))

/** The programs that the files of a folder ask for, and the files that these import. */
function askedFor(folder: string): string[] {
  const files = new Set(globSync(`${folder}/**/*.ts`, { cwd: DEPLOY }))
  const asked = new Set<string>()
  for (const file of files) {
    const text = readFileSync(join(DEPLOY, file), 'utf8')
    for (const [, name = ''] of text.matchAll(/\bgoTool\('([^']+)'\)/g)) asked.add(name)
    for (const [, path = ''] of text.matchAll(/\b(?:from|import\() ?'(\.[^']+\.ts)'/g)) {
      const imported = join(dirname(file), path)
      if (!imported.startsWith('..')) files.add(imported)
    }
  }
  return [...asked].sort()
}

describe('a part of test:deploy', () => {
  it('names the programs that are built for it, and no others', () => {
    for (const { name, goTools = [] } of PARTS)
      assert.deepEqual([...goTools].sort(), askedFor(name), name)
  })

  it('has each program of the table', () => {
    const named = new Set(PARTS.flatMap(({ goTools = [] }) => goTools))
    assert.deepEqual([...named].sort(), Object.keys(TOOLS).sort())
  })
})
