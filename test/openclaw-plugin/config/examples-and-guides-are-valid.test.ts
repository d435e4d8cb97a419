/** What people copy into openclaw.json is what the plugin reads: examples/ and the JSON of the guides. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { readConfig } from '../../../openclaw-plugin/src/config/read-config.ts'
import { codeBlocks } from '../../repository/documents/markdown-files.ts'

const ROOT = new URL('../../../', import.meta.url)
const GUIDE = 'docs/guides/openclaw-first-skill.md'

describe('configurations of the plugin that are there to be copied', () => {
  const read = (path: string) => readFile(new URL(path, ROOT), 'utf8')
  const guide = async () => codeBlocks({ path: GUIDE, text: await read(GUIDE) })
  const entryOf = (document: unknown) => {
    const { allow, entries } = Object(document).plugins
    assert.deepEqual(allow, ['clawmesh'])
    assert.equal(entries.clawmesh.enabled, true)
    const { config, faults } = readConfig(entries.clawmesh.config)
    assert.deepEqual(faults, null)
    return config
  }

  it('are read without a fault in examples/', async () => {
    const planner = entryOf(JSON.parse(await read('examples/agent-hosts/openclaw-planner.json')))
    assert.deepEqual(planner?.peers, ['researcher'])
    const file = 'examples/agent-hosts/openclaw-researcher.json'
    const researcher = entryOf(JSON.parse(await read(file)))
    assert.deepEqual(Object.keys(researcher?.serve ?? {}), ['ask'])
  })

  it('are those of the guide', async () => {
    const blocks = (await guide()).filter(({ language }) => language === 'json')
    const names = ['planner', 'researcher']
    assert.equal(blocks.length, names.length)
    for (const [index, name] of names.entries()) {
      const document: unknown = JSON.parse(blocks[index]?.text ?? '')
      entryOf(document)
      assert.deepEqual(
        document,
        JSON.parse(await read(`examples/agent-hosts/openclaw-${name}.json`)),
      )
    }
  })
})
