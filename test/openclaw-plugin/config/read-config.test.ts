import assert from 'node:assert/strict'
import { readConfig } from '../../../openclaw-plugin/src/config/read-config.ts'
import { wideTools } from '../../../openclaw-plugin/src/config/wide-tools.ts'

const least = { gateway: '127.0.0.1:8443', identity: '/etc/mesh' }

describe('the configuration of the OpenClaw plugin', () => {
  it('needs a gateway and an identity, and nothing else', () => {
    const { config, faults } = readConfig(least)
    assert.equal(faults, null)
    assert.deepEqual([config?.peers, config?.hosts, config?.serve], [[], null, {}])
    assert.equal(
      config?.waitMs,
      600_000,
      "OpenClaw's watchdog strikes after 15 minutes in one tool",
    )
  })

  it('reads agents that are served, with the tools of each caller', () => {
    const callers = ['planner', { caller: 'globex/*', tools: ['read'] }]
    const ask = { agent: 'main', tools: ['mesh_fetch'], callers, concurrent: 3, timeout: '20m' }
    const { config, faults } = readConfig({ ...least, serve: { ask } })
    assert.equal(faults, null)
    assert.deepEqual(config?.serve.ask, {
      ...{ agent: 'main', description: '', tools: ['mesh_fetch'] },
      ...{ concurrent: 3, timeoutMs: 1_200_000 },
      callers: [
        { caller: 'planner', tools: null },
        { caller: 'globex/*', tools: ['read'] },
      ],
    })
  })

  it('says every fault at once, each with the path of its key', () => {
    const { config, faults } = readConfig({
      gateway: 'mesh',
      peers: ['ok', 5],
      hosts: ['https://a.example/'],
      wait: '15m',
      token: { ttl: '2h', life: 1 },
      serve: { ask: { concurrent: 0, timeout: 'soon' }, tell: { callers: ['a', { caller: '/' }] } },
      gatway: 'x',
    })
    assert.equal(config, null)
    assert.deepEqual(faults, [
      'gateway must be host:port, e.g. 127.0.0.1:8443',
      'identity is missing: a directory with tls.crt, tls.key and ca.crt',
      'peers[1] must be among names of peers, e.g. researcher',
      'hosts[0] must be among names of hosts, e.g. api.github.com',
      'wait must be between 0 and 600s',
      'token.ttl must be between 60 and 3600s',
      'token.life is not a key that there is',
      'serve.ask.callers is missing: name the callers, e.g. ["planner"], or ["*"] for all that policy lets',
      'serve.ask.concurrent must be between 1 and 100',
      'serve.ask.timeout must be a time such as 90s, 20m or 1h',
      'serve.tell.callers[1].caller must be planner, globex/translator, globex/* or *',
      'gatway is not a key that there is',
    ])
  })

  it('gives no caller a tool that reaches beyond its task for good, and tools by their own names only', () => {
    const faultsOf = (tools: readonly string[], more: readonly unknown[] = []) =>
      readConfig({ ...least, serve: { ask: { tools, callers: ['planner', ...more] } } }).faults
    for (const [tool, why] of [
      ['cron', /begins turns after the task has ended/],
      ['automations', /begins turns after the task has ended/],
      ['Gateway', /changes OpenClaw itself/],
      ['sessions_send', /writes into conversations/],
      ['conversations_turn', /writes into conversations/],
    ] as const) {
      assert.match(String(faultsOf([tool])), why)
      const own = String(faultsOf([], [{ caller: 'globex/*', tools: ['read', tool] }]))
      assert.match(own, new RegExp(`serve\\.ask\\.callers\\[1\\]\\.tools names ${tool}, which no`))
    }
    for (const pattern of ['*', 'group:fs', 'mesh_*'])
      assert.match(String(faultsOf([pattern])), /tools\[0\] must be among names of single tools/)
    assert.equal(faultsOf(['exec', 'write', 'door__mesh_delegate']), null)
  })

  it('says which tools reach beyond the tasks of callers, and how', () => {
    const wide = (tools: readonly string[]) => {
      const callers = ['planner', { caller: 'globex/*', tools: ['web_fetch'] }]
      const { config } = readConfig({ ...least, serve: { ask: { tools, callers } } })
      return wideTools(config ?? assert.fail())
    }
    assert.match(
      String(wide(['write', 'edit', 'mesh_fetch'])),
      /: write of ask, edit of ask changes files .*; web_fetch of ask reaches the network/,
    )
    assert.equal(wideTools({ serve: {} }), null)
  })

  it('takes no other kind of value for an object', () => {
    for (const value of [5, 'x', [], [least]])
      assert.match(readConfig(value).faults?.join() ?? '', /the configuration must be an object/)
    assert.match(
      readConfig({ ...least, serve: [] }).faults?.join() ?? '',
      /serve must be an object/,
    )
  })

  it('takes a time in seconds, minutes or hours', () => {
    const waitMs = (wait: unknown) => readConfig({ ...least, wait }).config?.waitMs
    assert.deepEqual(['90s', '2m', 45, '500ms'].map(waitMs), [90_000, 120_000, 45_000, 500])
  })
})
