/** Bodies of MCP: what is a message, and what is none. */
import assert from 'node:assert/strict'
import { MAX_MESSAGES, readMessages } from '../../../../mesh-gateway/src/delegation/mcp/messages.ts'

const kindsOf = (body: unknown) =>
  readMessages(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))?.map(
    ({ kind }) => kind,
  )
const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' })

describe('a body that is sent to the MCP endpoint', () => {
  it('is one message, or a batch of older clients', () => {
    assert.deepEqual(kindsOf(ping(1)), ['request'])
    assert.deepEqual(kindsOf([ping(1), { jsonrpc: '2.0', method: 'notifications/x' }]), [
      'request',
      'notification',
    ])
    assert.deepEqual(kindsOf({ jsonrpc: '2.0', id: 1, result: {} }), ['response'])
    assert.deepEqual(kindsOf({ jsonrpc: '2.0', id: 1, error: { code: 1 } }), ['response'])
  })

  it('is refused whole when it is no JSON, no UTF-8, empty, or too long a batch', () => {
    for (const text of ['', '{', '[]', 'nul', '{"jsonrpc":"2.0",}'])
      assert.equal(readMessages(Buffer.from(text)), null, text)
    assert.equal(readMessages(Buffer.from([0x22, 0xff, 0x22])), null)
    const batch = (length: number) => Array.from({ length }, (_, id) => ping(id))
    assert.equal(kindsOf(batch(MAX_MESSAGES))?.length, MAX_MESSAGES)
    assert.equal(kindsOf(batch(MAX_MESSAGES + 1)), undefined)
  })

  it('has messages that are invalid, each answered under its id where it has one', () => {
    const invalid: [unknown, unknown][] = [
      [null, null],
      [1, null],
      ['text', null],
      [[], null],
      [{}, null],
      [{ jsonrpc: '1.0', id: 7, method: 'ping' }, 7],
      [{ id: 7, method: 'ping' }, 7],
      [{ jsonrpc: '2.0', id: 'seven', method: 8 }, 'seven'],
      [{ jsonrpc: '2.0', id: 7, method: 'ping', params: [1] }, 7],
      [{ jsonrpc: '2.0', id: 7 }, 7],
      [ping(null), null],
      [ping({}), null],
      [ping('x'.repeat(257)), null],
    ]
    for (const [message, id] of invalid)
      assert.deepEqual(readMessages(Buffer.from(JSON.stringify([message]))), [
        { kind: 'invalid', id },
      ])
  })

  it('may have no parameters, written as null or as an empty list as well', () => {
    for (const params of [undefined, null, [], {}])
      assert.deepEqual(readMessages(Buffer.from(JSON.stringify({ ...ping(1), params }))), [
        { kind: 'request', id: 1, method: 'ping', params: {} },
      ])
  })

  it('may be nested deeply without ending the process', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
    assert.deepEqual(kindsOf(`[${deep}]`), ['invalid'])
    const params = `{"a":${deep}}`
    assert.deepEqual(kindsOf(`{"jsonrpc":"2.0","id":1,"method":"ping","params":${params}}`), [
      'request',
    ])
  })
})
