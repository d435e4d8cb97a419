import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PARTS } from '../deploy/parts.ts'
import { TOOLS } from '../deploy/tools/tools.ts'

const DEPLOY = fileURLToPath(new URL('../deploy/', import.meta.url))

/** The programs that the files of a folder ask for. */
function askedFor(folder: string): string[] {
  return globSync(`${folder}/**/*.ts`, { cwd: DEPLOY }).flatMap((file) =>
    [...readFileSync(DEPLOY + file, 'utf8').matchAll(/\bgoTool\('([^']+)'\)/g)].map(
      ([, name = '']) => name,
    ),
  )
}

describe('a part of test:deploy', () => {
  it('names the programs that are built for it, and no others', () => {
    for (const { name, goTools = [] } of PARTS) {
      // a cluster has the API server of the part before it
      const asked = new Set([
        ...askedFor(name),
        ...(name === 'cluster' ? askedFor('api-server') : []),
      ])
      assert.deepEqual([...goTools].sort(), [...asked].sort(), name)
    }
  })

  it('has each program of the table', () => {
    const named = new Set(PARTS.flatMap(({ goTools = [] }) => goTools))
    assert.deepEqual([...named].sort(), Object.keys(TOOLS).sort())
  })
})
