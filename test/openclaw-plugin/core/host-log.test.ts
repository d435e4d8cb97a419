/** What the plugin logs goes into the log of its host, which people read in a terminal. */
import assert from 'node:assert/strict'
import { MeshError } from '@clawmesh/agent-sdk'
import { hostLog } from '../../../openclaw-plugin/src/core/host-log.ts'

describe('the log of the plugin', () => {
  const said: string[] = []
  const say = (message: string) => void said.push(message)
  const log = hostLog(() => ({ info: say, warn: say, error: say }))
  beforeEach(() => {
    said.length = 0
  })

  it('is one bounded line each, whatever a peer has put into its words', () => {
    const words = `gone\n2026-11-30 gateway: all is well\u001b[2J\u202e${'x'.repeat(1e6)}`
    log.warn({ id: words, err: new MeshError('MESH_TASK_FAILED', words) }, `it ended: ${words}`)
    log.error({ err: new Error(words) }, 'a fault')
    assert.equal(said.length, 2)
    for (const line of said) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
      assert.doesNotMatch(line, /[\u0000-\u001f\u202e]/)
      assert.ok(line.length <= 4_000)
    }
    assert.match(said[0] ?? '', /^clawmesh: it ended: gone 2026/)
  })

  it('says nothing while its host is away', () => {
    hostLog(() => null).warn({}, 'x')
    assert.deepEqual(said, [])
  })
})
