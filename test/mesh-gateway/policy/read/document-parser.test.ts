/** Policy files parsed by a thread: the same verdicts, and the event loop goes on. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  createDocumentParser,
  type DocumentParser,
} from '../../../../mesh-gateway/src/policy/read/document-parser.ts'
import { PieceReader, piecesOf } from '../../../../mesh-gateway/src/policy/read/document-pieces.ts'
import { readPolicyFile } from '../../../../mesh-gateway/src/policy/read/read-file.ts'

/** As wrong as a file can be, in several ways. */
const HOSTILE: readonly [what: string, text: string][] = [
  ['entries', `{"tenant":"acme","egress":{"allow":[${'"",'.repeat(340_000)}""]}}`],
  ['objects', `{"tenant":"acme","egress":{"allow":[${'{"hots":1},'.repeat(9_000)}""]}}`],
  ['keys', `{${Array.from({ length: 80_000 }, (_, at) => `"k${at}":1`).join(',')}}`],
  ['the same key', `{${'"a":1,'.repeat(140_000)}"b":1}`],
]

describe('the thread that parses policy', () => {
  let parser: DocumentParser
  before(() => {
    parser = createDocumentParser({ fileMs: 60_000, smallBytes: 0 })
  })
  after(() => parser.close())

  it('says what parsing at one go says', async () => {
    const texts = [
      [
        'acme.json',
        '{ "tenant": "acme", "egress": { "allow": ["a.test", { "host": "b.test" }] } }',
      ],
      ['acme.json', '{ "tenant": "globex" }'],
      ['_global.json', '{ "egress": { "denyCidrs": ["::ffff:9.9.0.0/112"], "ports": [443] } }'],
      ['_globl.json', '{}'],
      ['acme.json', '{'],
    ] as const
    for (const [name, text] of texts) {
      const bytes = Buffer.from(text)
      assert.deepEqual(await parser.parse(name, bytes), readPolicyFile(name, bytes))
    }
  })

  for (const [what, text] of HOSTILE)
    it(`stops at 100 faults of a file full of ${what}, while the event loop goes on`, async () => {
      let turns = 0
      let done = false
      const turn = () => {
        turns += 1
        if (!done) setImmediate(turn)
      }
      turn()
      const reading = await parser.parse('acme.json', Buffer.from(text))
      done = true
      assert.ok(reading.kind === 'broken')
      assert.ok(reading.faults.length <= 101, `${reading.faults.length} faults`)
      // parsed at one go there is not one between
      assert.ok(turns > 10, `${turns} turns`)
    })

  it('is not started for a file as small as most are', async () => {
    const small = createDocumentParser({ fileMs: 1 })
    const threads = () =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length
    const before = threads()
    for (const text of ['{ "tenant": "acme" }', '{ "tenant": "globex" }']) {
      const bytes = Buffer.from(text)
      assert.deepEqual(await small.parse('acme.json', bytes), readPolicyFile('acme.json', bytes))
    }
    assert.equal(threads(), before)
    await small.close()
  })

  it('ends when a file takes too long, and the next one gets a new thread', async () => {
    const hasty = createDocumentParser({ fileMs: 1, smallBytes: 0 })
    const [, text] = HOSTILE[0] ?? ['', '']
    for (let round = 0; round < 2; round += 1) {
      const late = await hasty.parse('acme.json', Buffer.from(text))
      assert.ok(late.kind === 'broken' && 'late' in late)
      assert.match(late.faults[0]?.message ?? '', /was not parsed within 0\.001 s/)
    }
    await hasty.close()
    const good = await parser.parse('acme.json', Buffer.from('{ "tenant": "acme" }'))
    assert.equal(good.kind, 'tenant')
  })

  it('passes any document on in pieces that come together again', () => {
    const long = fc.array(fc.record({ host: fc.string(), paths: fc.array(fc.string()) }), {
      minLength: 400,
      maxLength: 900,
    })
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), long), (generated) => {
        // through JSON text, as documents come
        const value: unknown = JSON.parse(JSON.stringify(generated))
        const reader = new PieceReader()
        let pieces = 0
        for (const piece of piecesOf(value)) {
          assert.ok(piece.kinds.length < 5_000)
          reader.add(structuredClone(piece))
          pieces += 1
        }
        assert.ok(pieces > 0)
        assert.deepEqual(reader.value(), value)
      }),
      { numRuns: 40 },
    )
  })
})
