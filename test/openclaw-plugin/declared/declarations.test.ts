import assert from 'node:assert/strict'
import {
  gatherDeclared,
  judgePeer,
  judgeUrl,
} from '../../../openclaw-plugin/src/declared/declarations.ts'
import { readNeeds } from '../../../openclaw-plugin/src/declared/read-skill-file.ts'

const own = { tenant: 'acme' }
const declared = (peers: readonly string[], hosts: readonly string[] = []) =>
  gatherDeclared([{ by: 'the configuration', peers, hosts }], own)

describe('what an agent declares', () => {
  it('names a peer in any of its three forms', () => {
    for (const name of ['researcher', 'acme/researcher', 'researcher.acme.mesh.internal']) {
      const known = declared([name])
      for (const asked of ['researcher', 'acme/researcher', 'Researcher.acme.mesh.internal:7443'])
        assert.equal(judgePeer(known, asked, own), null, `${name} and ${asked}`)
      for (const other of ['writer', 'globex/researcher', 'researcher.globex.mesh.internal', ''])
        assert.match(String(judgePeer(known, other, own)), /^CLAWMESH_PEER_NOT_DECLARED/, other)
    }
  })

  it('may name all agents of a tenant, or leave the decision to policy', () => {
    assert.equal(judgePeer(declared(['globex/*']), 'globex/translator', own), null)
    assert.notEqual(judgePeer(declared(['globex/*']), 'translator', own), null)
    assert.equal(judgePeer(declared(['*']), 'globex/translator', own), null)
  })

  it('is nothing as long as nothing is declared', () => {
    assert.match(String(judgePeer(declared([]), 'researcher', own)), /No peer is declared/)
    assert.match(String(judgeUrl(declared([]), 'https://api.github.com/')), /HOST_NOT_DECLARED/)
  })

  it('names hosts as policy does', () => {
    const known = declared([], ['api.github.com', '*.example.com:8443'])
    const fine = [
      'https://api.github.com/x',
      'http://API.github.com./',
      'https://a.b.example.com:8443/',
    ]
    for (const url of fine) assert.equal(judgeUrl(known, url), null, url)
    const others = [
      ...[
        'https://github.com/',
        'https://api.github.com.evil.example/',
        'https://example.com:8443/',
      ],
      ...['https://a.example.com/', 'https://api.github.com@evil.example/'],
    ]
    for (const url of others) assert.match(String(judgeUrl(known, url)), /HOST_NOT_DECLARED/, url)
  })

  it('tells the model which peers it may ask, and nothing that only an operator can do', () => {
    const said = String(judgePeer(declared(['writer', 'globex/translator']), 'x', own))
    assert.match(said, /Declared are writer, globex\/translator\./)
    assert.doesNotMatch(said, /config|json|openclaw/i)
  })
})

describe('the frontmatter of a SKILL.md', () => {
  const file = (metadata: string) => `---\nname: x\n${metadata}\ndescription: y\n---\n# X\n`

  it('names peers and hosts in one line or in several', () => {
    const needs = { peers: ['researcher.acme.mesh.internal'], hosts: ['api.github.com'] }
    const oneLine = `metadata: ${JSON.stringify({ openclaw: { emoji: 'x' }, clawmesh: needs })}`
    const read = { ...needs, patterns: [] }
    assert.deepEqual(readNeeds(file(oneLine)), read)
    const lines = JSON.stringify({ clawmesh: needs }, null, 2).replaceAll('\n', '\n  ')
    assert.deepEqual(readNeeds(file(`metadata:\n  ${lines.replace(/\]\n/, '],\n')}`)), read)
    assert.deepEqual(readNeeds(file(oneLine).replaceAll('\n', '\r\n')), read)
  })

  it('may say nothing of the mesh', () => {
    for (const text of [
      '',
      '# X',
      file('metadata: {"openclaw":{}}'),
      file('metadata: {unquoted: 1}'),
    ])
      assert.equal(readNeeds(text), null)
    assert.equal(readNeeds('---\nname: x\n---\nmetadata: {"clawmesh":{"peers":["a"]}}\n'), null)
  })

  it('declares no pattern: the agent may have written it', () => {
    const needs = { peers: ['globex/*', 'writer', '*'], hosts: ['*', '*.example.com', 'a.example'] }
    assert.deepEqual(readNeeds(file(`metadata: ${JSON.stringify({ clawmesh: needs })}`)), {
      ...{ peers: ['writer'], hosts: ['a.example'] },
      patterns: ['globex/*', '*', '*', '*.example.com'],
    })
  })

  it('is told when it says something else of the mesh', () => {
    for (const [metadata, why] of [
      ['metadata: {"clawmesh": {"peers": "a"}}', /peers is not a list of names/],
      ['metadata: {"clawmesh": {"peer": ["a"]}}', /peer is not a key/],
      ['metadata: {"clawmesh": []}', /is not an object/],
      ['metadata: {clawmesh: 1}', /is not JSON/],
    ] as const)
      assert.throws(() => readNeeds(file(metadata)), why)
  })
})
