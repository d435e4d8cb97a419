/** docs/discoveries/an-import-of-node-http-loads-undici.md: 90 ms of the CPU of each process, for a fetch that is not called. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const ROOT = new URL('../../../', import.meta.url)
const ENTRIES = ['index.ts', 'mesh.ts', 'calls.ts']
  .map((name) => `agent-sdk/src/${name}`)
  .concat(['mesh-gateway/src/index.ts', 'mesh-gateway/src/cli/short-commands.ts'])
  .concat(['mesh-gateway/src/admin/http-port.ts'])

/** Modules of Node's own undici that a program loads. */
function undiciLoadedBy(program: string): string {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--input-type=module', '--eval'],
      `${program}
      const loaded = process.moduleLoadList.filter((name) => name.includes('undici/undici'))
      process.stdout.write(loaded.join('\\n') + '.')`,
    ],
    { encoding: 'utf8', cwd: ROOT },
  )
  assert.match(stdout, /\.$/, stderr)
  return stdout
}

describe('Node’s own undici', () => {
  it('is loaded by an import of node:http, and not when the module is asked for', () => {
    assert.notEqual(undiciLoadedBy("import 'node:http'"), '.')
    assert.equal(undiciLoadedBy("process.getBuiltinModule('node:http').createServer()"), '.')
  })

  it('is loaded by no part of the mesh', () => {
    const imports = ENTRIES.map((entry) => `await import('${new URL(entry, ROOT)}')`)
    assert.equal(undiciLoadedBy(imports.join('\n')), '.')
  })
})
