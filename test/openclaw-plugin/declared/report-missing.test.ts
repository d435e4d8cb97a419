import assert from 'node:assert/strict'
import { type Explanation, MeshError } from '@clawmesh/agent-sdk'
import { gatherDeclared } from '../../../openclaw-plugin/src/declared/declarations.ts'
import { missingOf } from '../../../openclaw-plugin/src/declared/report-missing.ts'

const own = { tenant: 'acme' }
const said = (action: Explanation['action'], hint: string | null): Explanation => ({
  ...{ action, hint, code: null, reason: null, rule: null, file: null },
  ...{ mode: 'enforce', generation: 1, someRequests: false },
})

describe('what policy lacks of all that is declared', () => {
  const declared = gatherDeclared(
    [
      {
        by: 'the configuration',
        peers: ['writer', 'researcher', 'globex/*'],
        hosts: ['a.example'],
      },
      {
        by: 'the skill report',
        peers: ['researcher.acme.mesh.internal'],
        hosts: ['*', 'b.example'],
      },
    ],
    own,
  )
  const asked: string[] = []
  const answer = (name: string, allowed: string) => {
    asked.push(name)
    return name === allowed ? said('allow', null) : said('deny', `add "${name}" to acme.json`)
  }

  it('is one message, with who needs it and the line to add', async () => {
    const missing = await missingOf(
      {
        explain: async (peer) => answer(peer, 'acme/writer'),
        explainHost: async (host) => answer(host, 'a.example'),
      },
      declared,
    )
    assert.equal(
      missing,
      [
        'the peer acme/researcher, which the configuration and the skill report needs: add "acme/researcher" to acme.json',
        'the host b.example, which the skill report needs: add "b.example" to acme.json',
      ].join('; '),
    )
    assert.deepEqual(asked, ['acme/writer', 'acme/researcher', 'a.example', 'b.example'])
  })

  it('is nothing when all is allowed, and nothing while the gateway cannot be asked', async () => {
    const fine = async () => said('audit', null)
    assert.equal(await missingOf({ explain: fine, explainHost: fine }, declared), null)
    const away = async () => {
      throw new MeshError('MESH_GATEWAY_UNREACHABLE')
    }
    assert.equal(await missingOf({ explain: away, explainHost: fine }, declared), null)
  })

  it('lacks no host that policy allows for certain methods or paths', async () => {
    const fine = async () => said('allow', null)
    const some = async () => ({
      ...said('deny', 'the rule names methods GET, which a tunnel hides'),
      someRequests: true,
    })
    assert.equal(await missingOf({ explain: fine, explainHost: some }, declared), null)
  })

  it('names what is not a name at all', async () => {
    const wrong = async () => {
      throw new MeshError('MESH_EXPLAIN_INVALID', 'to does not name an agent')
    }
    const fine = async () => said('allow', null)
    const missing = await missingOf({ explain: wrong, explainHost: fine }, declared)
    assert.match(
      String(missing),
      /acme\/writer, which the configuration needs: to does not name an agent/,
    )
  })
})
